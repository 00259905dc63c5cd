#include <map>

#include "data/dataset/training_sets.h"
#include "engine/json.h"
#include "tests/support/command_support.h"
#include "tests/support/file_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// `count` images whose labels are `objects` single pixels each.
std::vector<Example> images(const std::string& name, int count, int objects = 1) {
  std::vector<Example> all;
  for (int i = 0; i < count; ++i) {
    Image image{4, 4, 1, PixelType::u8, std::vector<std::byte>(16, std::byte(name[0] + i))};
    Labels labels{4, 4, objects, std::vector<int32_t>(16)};
    for (int k = 0; k < objects; ++k)
      labels.ids[size_t(k)] = k + 1;
    const std::string stem = name + std::to_string(i);
    all.push_back({stem, Source(std::move(image), 1, {Normalisation::Kind::none}, stem), StoredLabels(labels)});
  }
  return all;
}

TrainingSet set_of(const std::string& path, std::optional<double> weight = {}) { return {path, weight}; }

std::vector<std::string> stems_of(const std::vector<Example>& examples) {
  std::vector<std::string> all;
  for (const Example& e : examples)
    all.push_back(e.stem);
  return all;
}

}  // namespace

TEST_CASE("training sets: a weight follows the last colon, unless the text is a path") {
  const Folder folder;
  std::filesystem::create_directory(folder.path() / "a:2");
  const std::string there = (folder.path() / "a:2").string();
  CHECK(parse_training_set(there).path == there);
  CHECK(!parse_training_set(there).weight);
  CHECK(parse_training_set(there + ":0.5").path == there);
  CHECK(parse_training_set(there + ":0.5").weight == 0.5);
  CHECK(parse_training_set("b:3e-1").weight == 0.3);
  for (const char* path : {"b", "b:", "b:x", "b:1x", "c:/data", ":2"}) {
    CHECK(parse_training_set(path).path == path);
    CHECK(!parse_training_set(path).weight);
  }
  for (const char* bad : {"b:0", "b:-1", "b:nan", "b:inf"})
    CHECK(refusal([&] { parse_training_set(bad); }) == std::string("--data ") + bad + ": expected a weight above 0");
}

TEST_CASE("training sets: without weights all images count equally; with weights each set has its share") {
  const auto sets = [] { return std::vector{images("a", 6), images("b", 2)}; };
  MergedSets merged = merge_sets(sets(), {set_of("a"), set_of("b")}, {});
  CHECK(merged.shares == std::vector<double>{0.75, 0.25});
  for (const Example& e : merged.examples)
    CHECK(e.weight == 1);
  merged = merge_sets(sets(), {set_of("a"), set_of("b", 0.25)}, {});  // a counts as 1
  CHECK(merged.shares == std::vector<double>{0.8, 0.2});
  for (const Example& e : merged.examples)
    CHECK(e.weight == doctest::Approx(e.stem[0] == 'a' ? 0.8 * 8 / 6 : 0.2 * 8 / 2));
  // What the sampler draws in the end.
  const Sampler sampler(merged.examples, {});
  std::map<char, int> drawn;
  std::vector<int> order;
  for (int epoch = 0; epoch < 500; ++epoch) {
    sampler.order(epoch, order);
    for (const int image : order)
      ++drawn[merged.examples[size_t(image)].stem[0]];
  }
  CHECK(drawn['a'] + drawn['b'] == 4000);
  CHECK(std::abs(drawn['b'] - 800) < 60);
}

TEST_CASE("training sets: with object crops the shares refer to objects, and unused images do not count") {
  Sampling sampling;
  sampling.kind = Sampling::Kind::object_crop;
  MergedSets merged = merge_sets({images("a", 2, 8), images("b", 4, 1)}, {set_of("a", 3), set_of("b", 1)}, sampling);
  CHECK(merged.shares == std::vector<double>{0.75, 0.25});
  for (const Example& e : merged.examples)
    CHECK(e.weight == doctest::Approx(e.stem[0] == 'a' ? 0.75 * 20 / 16 : 0.25 * 20 / 4));
  // One of the sets has no object.
  merged = merge_sets({images("a", 2, 8), images("b", 4, 0)}, {set_of("a", 3), set_of("b", 1)}, sampling);
  CHECK(merged.shares == std::vector<double>{1, 0});
}

TEST_CASE("training sets: the order of the sets does not matter, and a set given twice is refused") {
  const MergedSets ab = merge_sets({images("a", 3), images("b", 2)}, {set_of("a", 1), set_of("b", 2)}, {});
  const MergedSets ba = merge_sets({images("b", 2), images("a", 3)}, {set_of("b", 2), set_of("a", 1)}, {});
  CHECK(stems_of(ab.examples) == stems_of(ba.examples));
  CHECK(fingerprint(ab.examples) == fingerprint(ba.examples));
  CHECK(fingerprint(ab.examples) !=
        fingerprint(merge_sets({images("a", 3), images("b", 2)}, {set_of("a", 1), set_of("b", 3)}, {}).examples));
  CHECK(contains(
      refusal([] {
        merge_sets({images("a", 2), images("b", 1), images("a", 2)}, {set_of("x"), set_of("y"), set_of("z", 2)}, {});
      }),
      "--data x and z contain the same images and labels"));
  // One set keeps its order and its weights.
  CHECK(stems_of(merge_sets({images("a", 3)}, {set_of("a", 7)}, {}).examples) ==
        std::vector<std::string>{"a0", "a1", "a2"});
}

TEST_CASE("train: several --data with weights are recorded, and a resumed run gives the same bytes") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 3 --size 64 --seed 1 --out a").code == 0);
  REQUIRE(run_basin(folder, "synth --count 4 --size 64 --seed 2 --out b").code == 0);
  const std::string few = "train --width 8 --crop 32 --device cpu --save-every 2 ";
  const Ran whole = run_basin(folder, few + "--data a --data b:3 --steps 4 --threads 1 --out whole");
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  CHECK_MESSAGE(contains(whole.err, "b: 3 training images, 75 % of the samples"), whole.err);
  CHECK(contains(whole.err, "validation: 2 images"));  // one of each
  const Json run = Json::parse(read_bytes(folder / "whole/run.json"));
  CHECK(run["data"] == Json{"a", "b:3"});
  CHECK(run["data_sets"] ==
        Json::parse(R"([{"path":"a","images":2,"share":0.25},{"path":"b","images":3,"share":0.75}])"));
  REQUIRE(run_basin(folder, few + "--data a --data b:3 --steps 2 --threads 1 --out parts").code == 0);
  const Ran other = run_basin(folder, few + "--data a --data b:2 --steps 4 --out parts --resume");
  CHECK(other.code == 1);
  CHECK_MESSAGE(contains(other.err, "the training images, labels or weights differ"), other.err);
  const Ran more = run_basin(folder, few + "--data b:3 --data a --steps 4 --threads 1 --out parts --resume");
  REQUIRE_MESSAGE(more.code == 0, more.err);
  CHECK(read_bytes(folder / "whole/last.safetensors") == read_bytes(folder / "parts/last.safetensors"));
  // One folder is recorded as one.
  REQUIRE(run_basin(folder, few + "--data a --steps 1 --out one").code == 0);
  CHECK(Json::parse(read_bytes(folder / "one/run.json"))["data"] == "a");
}

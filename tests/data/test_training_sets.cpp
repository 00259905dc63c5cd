#include <algorithm>
#include <cmath>
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

std::vector<Pair> named(const std::vector<std::string>& names) {
  std::vector<Pair> pairs;
  for (const std::string& n : names)
    pairs.push_back({n, n + ".png", {n + "_masks.png"}});
  return pairs;
}
std::vector<std::string> held_out(const std::vector<std::string>& names, double fraction) {
  const std::vector<bool> held = validation_split(named(names), fraction);
  std::vector<std::string> out;
  for (size_t i = 0; i < names.size(); ++i)
    if (held[i]) out.push_back(names[i]);
  std::sort(out.begin(), out.end());
  return out;
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
  const Sampling sampling = Sampling::object_crop;
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

TEST_CASE("dataset: the validation split depends on image names only") {
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i)
    names.push_back("img_" + std::to_string(1000 + i));
  const std::vector<std::string> tenth = held_out(names, 0.1);
  CHECK(tenth.size() == 20);
  std::reverse(names.begin(), names.end());
  CHECK(held_out(names, 0.1) == tenth);
  const std::vector<std::string> fifth = held_out(names, 0.2);
  CHECK(std::includes(fifth.begin(), fifth.end(), tenth.begin(), tenth.end()));
  // Consecutively numbered names are spread over the split, not chosen in runs.
  int neighbours = 0;
  for (size_t i = 1; i < tenth.size(); ++i)
    neighbours += std::stoi(tenth[i].substr(4)) == std::stoi(tenth[i - 1].substr(4)) + 1;
  CHECK(neighbours < 8);
  CHECK(held_out({"a", "b", "c"}, 0.01).size() == 1);
  CHECK(held_out({"a", "b", "c"}, 0.99).size() == 2);
  CHECK(held_out({"a", "b", "c"}, 0).empty());
  CHECK(held_out({"a"}, 0.5).empty());
  CHECK(held_out({}, 0.5).empty());
  // This rule must never change: the split of existing models depends on it.
  CHECK(held_out({"a", "b", "c", "d", "e", "f"}, 0.34) == std::vector<std::string>{"b", "e"});
  for (double fraction : {-0.1, 1.0, std::nan("")})
    CHECK_THROWS_AS(validation_split(named({"a", "b"}), fraction), Error);
}

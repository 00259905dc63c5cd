#include <doctest/doctest.h>

#include <filesystem>
#include <numeric>

#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/files/planes.h"
#include "data/objects/write_stack.h"
#include "data/synth/synth.h"
#include "models/registry.h"
#include "tests/support/command_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("oracle: for every method, the maps of a perfect network give back the objects") {
  const Folder folder;
  std::filesystem::create_directories(folder / "truth");
  for (int i = 0; i < 2; ++i)
    write_labels(folder / ("truth/n" + std::to_string(i) + "_masks.png"),
                 make_synthetic({.kind = SynthKind::nuclei, .size = 128, .seed = 2}, i).labels);
  for (const MethodEntry& entry : methods()) {
    const std::string name = entry.name;
    if (name == "toy") continue;  // of another test, unknown to the command
    CAPTURE(name);
    const Ran ran = run_basin(folder, "oracle truth --model " + name + " --out " + name);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    const Ran scores = run_basin(folder, "evaluate --pred " + name + " --truth truth");
    REQUIRE_MESSAGE(scores.code == 0, scores.err);
    const size_t at = scores.out.find("AP50 ");
    REQUIRE(at != std::string::npos);
    const size_t value = scores.out.find_first_of("01", at + 4);
    CHECK_MESSAGE(std::stod(scores.out.substr(value)) > 0.95, scores.out);
  }
}

TEST_CASE("oracle: bad input is refused in one sentence") {
  const Folder folder;
  std::filesystem::create_directories(folder / "truth");
  write_labels(folder / "truth/n_masks.png", Labels{4, 6, 0, std::vector<int32_t>(24)});
  const Ran empty = run_basin(folder, "oracle truth --out out");
  CHECK_MESSAGE(empty.code == 0, empty.err);
  CHECK(contains(empty.out, "0 objects"));
  CHECK(contains(run_basin(folder, "oracle truth --model none --out out").err, "--model"));
  CHECK(contains(run_basin(folder, "oracle missing --out out").err, "missing"));
  CHECK(contains(run_basin(folder, "oracle truth --out truth").err, "this input file would be overwritten"));
  CHECK(contains(run_basin(folder, "oracle truth --out out --set eps=-1").err, "--set eps=-1: expected"));
  CHECK(run_basin(folder, "oracle truth --out out").code == 0);  // replaces its own results
  std::filesystem::create_directories(folder / "drawn");
  write_labels(folder / "drawn/n_masks.png", Labels{4, 6, 1, std::vector<int32_t>(24, 1)});
  CHECK(contains(run_basin(folder, "oracle truth --out drawn").err, "already exists and may contain true labels"));
}

TEST_CASE("oracle: a stack of labels is decoded plane by plane, and written as a stack") {
  const Folder folder;
  std::vector<Labels> truth;
  StackPlanes planes;
  planes.frames = 2;
  LabelStack stack(planes);
  for (int i = 0; i < 2; ++i) {
    truth.push_back(make_synthetic({.kind = SynthKind::nuclei, .size = 96, .seed = 2}, i).labels);
    std::vector<int32_t> numbers(size_t(truth[size_t(i)].count));
    std::iota(numbers.begin(), numbers.end(), 1);
    stack.add(truth[size_t(i)], numbers);
    write_labels(folder / ("single/" + std::to_string(i) + "_masks.png"), truth[size_t(i)]);
  }
  stack.write(folder / "x_masks.tif");
  const Ran ran = run_basin(folder, "oracle x_masks.tif --device cpu --out o");
  REQUIRE_MESSAGE(ran.code == 0, ran.err);
  CHECK_MESSAGE(contains(ran.out, "x_masks.tif: 2 planes, "), ran.out);
  REQUIRE(run_basin(folder, "oracle single --device cpu --out s").code == 0);
  for (int i = 0; i < 2; ++i) {
    PlaneChoice choice;
    choice.plane = "T=" + std::to_string(i);
    const Labels alone = read_labels(folder / ("s/" + std::to_string(i) + "_masks.png"));
    CHECK(read_labels(folder / "o/x_masks.tif", choice).ids == alone.ids);
  }
  // A run on one plane replaces the stack, but nothing that the command does not write.
  write_bytes(folder / "o/x_scores.csv", "scores of other origin");
  REQUIRE(run_basin(folder, "oracle x_masks.tif --plane T=1 --device cpu --out o").code == 0);
  CHECK(std::filesystem::exists(folder / "o/x_masks.png"));
  CHECK(!std::filesystem::exists(folder / "o/x_masks.tif"));
  CHECK(std::filesystem::exists(folder / "o/x_scores.csv"));
}

TEST_CASE("oracle: objects that share pixels are whole for methods with layers, and else divided, which is said") {
  const Folder folder;
  const auto bar = [](int y0, int y1, int x0, int x1) {
    Labels one{64, 64, 1, std::vector<int32_t>(64 * 64)};
    for (int y = y0; y < y1; ++y)
      for (int x = x0; x < x1; ++x)
        one.ids[size_t(64 * y + x)] = 1;
    return one;
  };
  write_png(folder / "dsb/a/images/a.png", {64, 64, 1, PixelType::u8, std::vector<std::byte>(64 * 64)});
  write_labels(folder / "dsb/a/masks/1.png", bar(20, 32, 4, 60));
  write_labels(folder / "dsb/a/masks/2.png", bar(4, 60, 26, 38));
  Planes planes{64, 64, {}};
  for (const Labels& one : {bar(20, 32, 4, 60), bar(4, 60, 26, 38)})
    planes.objects.push_back(masks_of(one).objects[0]);
  write_instances(folder / "a_instances.tif", planes, {});
  for (const char* input : {"dsb", "a_instances.tif"}) {
    CAPTURE(input);
    std::filesystem::remove_all(folder / "out");
    const std::string words = std::string("oracle ") + input + " --device cpu --out out ";
    const Ran divided = run_basin(folder, words + "--model vf-h1");
    REQUIRE_MESSAGE(divided.code == 0, divided.err);
    CHECK_MESSAGE(contains(divided.err, "its objects overlap; where they do, the first keeps the pixel"), divided.err);
    CHECK(std::filesystem::exists(folder / "out/a_masks.png"));
    const Ran whole = run_basin(folder, words + "--model og --set layers=2");
    REQUIRE_MESSAGE(whole.code == 0, whole.err);
    CHECK(!contains(whole.err, "overlap"));
    CHECK(!std::filesystem::exists(folder / "out/a_masks.png"));
    const Ran scores = run_basin(folder, std::string("evaluate --pred out --truth ") + input);
    REQUIRE_MESSAGE(scores.code == 0, scores.err);
    CHECK_MESSAGE(contains(scores.out, "2 true and 2 predicted"), scores.out);
    const size_t at = scores.out.find("AP75 ");
    REQUIRE(at != std::string::npos);
    CHECK_MESSAGE(std::stod(scores.out.substr(scores.out.find_first_of("01", at + 4))) == 1, scores.out);
    // A pixel of es points to one centre, so that the shared ones are lost to the second object.
    const Ran pointing = run_basin(folder, words + "--model es --set layers=2");
    REQUIRE_MESSAGE(pointing.code == 0, pointing.err);
    CHECK_MESSAGE(contains(pointing.out, "2 objects, 2 objects after decoding"), pointing.out);
  }
  CHECK(contains(run_basin(folder, "oracle a_instances.tif --model og --out .").err, "would be overwritten"));
}

TEST_CASE("methods: lists the methods, and the settings of one method with their defaults") {
  const Folder folder;
  const Ran all = run_basin(folder, "methods");
  CHECK(all.code == 0);
  CHECK(contains(all.out, "vf-h1 "));
  const Ran one = run_basin(folder, "methods vf-h1");
  CHECK(one.code == 0);
  CHECK(contains(one.out, "eps=2.25  DBSCAN radius, px: 1e-06 to 1e+06"));
  CHECK(contains(run_basin(folder, "methods nothing").err, "method nothing is unknown"));
}

TEST_CASE("oracle, evaluate and report: what reading the labels left out is reported") {
  const Folder folder;
  Labels one{8, 8, 1, std::vector<int32_t>(64, 0)};
  one.ids[27] = 1;
  for (const char* mask : {"1", "2"})
    write_labels(folder / ("truth/a/masks/" + std::string(mask) + ".png"), one);
  write_png(folder / "truth/a/images/a.png", {8, 8, 1, PixelType::u8, std::vector<std::byte>(64)});
  for (const char* words : {"oracle truth --out o", "evaluate --pred truth --truth truth",
                            "report truth --pred truth --truth truth --out r.html"}) {
    const Ran ran = run_basin(folder, words);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    CHECK_MESSAGE(contains(ran.err, "is identical to another one and left out"), words, ran.err);
  }
}

#include <doctest/doctest.h>

#include <filesystem>

#include "data/files/image.h"
#include "data/files/labels.h"
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

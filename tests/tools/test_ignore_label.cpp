#include <cstdio>

#include "data/metrics/truth_score.h"
#include "data/objects/write_stack.h"
#include "models/inference/model_file.h"
#include "tests/support/command_support.h"
#include "tests/support/model_support.h"
#include "tests/support/score_support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

const fs::path sample_images = fs::path(source_dir()) / "data/samples";

/// An image of the samples with its labels.
void put_sample(const Folder& folder, const std::string& to) {
  fs::create_directories((folder / to).parent_path());
  fs::copy_file(sample_images / "nuclei_000_img.png", folder / (to + "_img.png"));
  fs::copy_file(sample_images / "nuclei_000_masks.png", folder / (to + "_masks.png"));
}

/// 24 x 24 pixels: object 1, and a region 2 that nobody annotated. Three objects are predicted: one is right, one lies
/// in the region, and one with 24 of 40 pixels.
void put_region(const Folder& folder) {
  write_png(folder / "in/a.png", {24, 24, 1, PixelType::u8, std::vector<std::byte>(24 * 24)});
  write_labels(folder / "in/a_masks.png", boxes(24, 24, {{1, 9, 1, 9}, {12, 24, 8, 24}}));
  write_labels(folder / "out/a_masks.png", boxes(24, 24, {{1, 9, 1, 9}, {13, 18, 16, 22}, {20, 24, 4, 14}}));
}

constexpr const char* ap50 = "AP50 (stardist, per-image mean, >=)";

}  // namespace

TEST_CASE("evaluate: --ignore-label leaves a region of the true labels out of all scores") {
  const Folder folder;
  put_region(folder);
  const auto scores = [&](const std::string& options) {
    const Ran ran = run_basin(folder, "evaluate --pred out --truth in --json s.json " + options);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    return json_in(folder / "s.json");
  };
  const Json with = scores("--ignore-label 2"), plain = scores("");
  CHECK(plain["objects"] == Json{{"true", 2}, {"predicted", 3}});
  CHECK(!plain.contains("ignore_label"));
  CHECK(with["ignore_label"] == 2);
  CHECK(with["objects"] == Json{{"true", 1}, {"predicted", 1}});
  for (const char* key : {"AP50", "AJI", "PQ", "SBD", "SEG", "DET"})
    CHECK_MESSAGE(with["metrics"][key]["mean"] == 1, key);
  CHECK(with["metrics"]["DiC"]["mean"] == 0);
  // The 16 pixels of the third object outside the region are foreground, though the object does not count.
  CHECK(with["metrics"]["semantic_IoU"]["mean"] == 64. / 80);
  const Ran other = run_basin(folder, "evaluate --pred out --truth in --ignore-label 9");
  CHECK(other.code == 0);
  CHECK_MESSAGE(contains(other.err, "--ignore-label 9: no label image contains this value\n"), other.err);

  // Scores belong to the objects that count.
  write_bytes(folder / "out/a_scores.csv", "label,score\n1,0.1\n2,0.9\n3,0.8\n");
  CHECK(scores("--ignore-label 2")["metrics"]["VOC_AP50"]["mean"] == 1);
  CHECK(scores("")["metrics"]["VOC_AP50"]["mean"] == doctest::Approx(0.5 / 3));

  // Masks of one object each have no value that could be ignored.
  write_instances(folder / "masks/a_masks.tif", {24, 24, {{{0, 9}}, {{40, 44}}}}, {});
  const Ran masks = run_basin(folder, "evaluate --pred out --truth masks --ignore-label 2");
  CHECK(masks.code == 1);
  CHECK_MESSAGE(contains(masks.err, "a_masks.tif: has one mask for each object; --ignore-label needs label images"),
                masks.err);
  CHECK(run_basin(folder, "evaluate --pred out --truth in --ignore-label 0").code == 1);
}

TEST_CASE("report: --ignore-label does not count or draw the region as an object") {
  const Folder folder;
  put_region(folder);
  const auto page = [&](const std::string& options) {
    const Ran ran = run_basin(folder, "report in --pred out --truth in --out page.html " + options);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    return read_bytes(folder / "page.html");
  };
  const std::string with = page("--ignore-label 2"), plain = page("");
  CHECK(contains(with, "3 objects (1 counted), 1 true; AP50 1.000"));
  CHECK(contains(with, "truth, 1 object<"));
  CHECK(contains(plain, "3 objects, 2 true; AP50 0.250"));
  CHECK(contains(plain, "truth, 2 objects<"));
  const Ran refused = run_basin(folder, "report in --pred out --out no.html --ignore-label 2");
  CHECK(refused.code == 1);
  CHECK_MESSAGE(contains(refused.err, "--ignore-label 2: there are no true labels; give --truth"), refused.err);
  CHECK(!fs::exists(folder / "no.html"));
  CHECK(contains(run_basin(folder, "report in --pred out --truth in --out page.html --ignore-label 9").err,
                 "--ignore-label 9: no label image contains this value\n"));
}

TEST_CASE("check-data: --ignore-label takes the region for what train does") {
  const Folder folder;
  put_region(folder);
  const auto facts = [&](const std::string& options) {
    const Ran ran = run_basin(folder, "check-data in --val-fraction 0 --json f.json " + options);
    CHECK_MESSAGE(ran.code == 0, ran.err);
    return json_in(folder / "f.json");
  };
  const Json with = facts("--ignore-label 2"), plain = facts("");
  CHECK(with["images"][0]["areas"] == Json{64});
  CHECK(with["images"][0]["ignored_pixels"] == 192);
  CHECK(plain["images"][0]["areas"] == Json{64, 192});
  CHECK(!plain["images"][0].contains("ignored_pixels"));
  CHECK(with["object_sizes"]["longest_side"] == 8);
  CHECK(contains(run_basin(folder, "check-data in --ignore-label 9").out,
                 "warning: --ignore-label 9: no label image contains this value"));
  const Ran es = run_basin(folder, "check-data in --ignore-label 2 --model es");
  CHECK(es.code == 1);
  CHECK_MESSAGE(contains(es.err, "--ignore-label 2: the method es cannot leave pixels out of its losses"), es.err);
}

TEST_CASE("tune and compare-models: --ignore-label scores as evaluate does") {
  const Folder folder;
  put_sample(folder, "in/a");
  // A border of the image is a region that nobody annotated: 2000, or unknown objects for who does not know that.
  Labels labels = read_labels(folder / "in/a_masks.png");
  Image stored{labels.height, labels.width, 1, PixelType::u16, std::vector<std::byte>(2 * labels.ids.size())};
  for (size_t i = 0; i < labels.ids.size(); ++i)
    stored.as<uint16_t>()[i] = uint16_t(int(i) % labels.width < labels.width / 3 ? 2000 : labels.ids[i]);
  write_png(folder / "in/a_masks.png", stored);
  {
    Model model = load_model(fs::path(source_dir()) / "models/pretrained/nuclei-fluo.safetensors", {});
    model.info.erase("trained_on"), model.info.erase("scale");
    save_model(folder / "m.safetensors", {}, *model.method, model.info);
  }
  run_basin(folder, "segment in/a_img.png --model m.safetensors --device cpu --save labels --out out");
  const auto evaluated = [&](const std::string& options) {
    const Ran ran = run_basin(folder, "evaluate --pred out --truth in --json e.json " + options);
    REQUIRE_MESSAGE(ran.code == 0, ran.err);
    return json_in(folder / "e.json");
  };
  const Json with = evaluated("--ignore-label 2000"), plain = evaluated("");
  const double known = with["metrics"]["AP50"]["mean"].get<double>();
  CHECK(known > plain["metrics"]["AP50"]["mean"].get<double>() + 0.1);

  const Ran compared = run_basin(folder,
                                 "compare-models in --models m.safetensors --device cpu --ignore-label 2000 --json "
                                 "t.json --report page.html");
  REQUIRE_MESSAGE(compared.code == 0, compared.err);
  const Json table = json_in(folder / "t.json");
  CHECK(table["ignore_label"] == 2000);
  CHECK(table["models"][0][ap50] == known);
  const Json counts = with["counts"][0];
  CHECK(contains(read_bytes(folder / "page.html"), "m.safetensors: " + to_text(counts["true_positive"]) +
                                                       " matched (green), " + to_text(counts["false_negative"]) +
                                                       " missed (orange), " + to_text(counts["false_positive"]) +
                                                       " false (purple)"));

  const std::string tune =
      "tune --model m.safetensors --val in --device cpu --steps 75 --eps 2.25 --min-samples 15 --thresholds .5 "
      "--snap-noise none --out ";
  const Ran tuned = run_basin(folder, tune + "with.safetensors --ignore-label 2000");
  REQUIRE_MESSAGE(tuned.code == 0, tuned.err);
  REQUIRE(run_basin(folder, tune + "plain.safetensors").code == 0);
  const Json info = load_model(folder / "with.safetensors", {}).info,
             without = load_model(folder / "plain.safetensors", {}).info;
  CHECK(info["tuning"]["before"][ap50] == known);
  CHECK(info["tuning"]["ignore_label"] == 2000);
  CHECK(!without["tuning"].contains("ignore_label"));
  CHECK(info["tuning"]["data"] != without["tuning"]["data"]);
  CHECK(info["tuning"]["data"] == fingerprint(read_examples(find_pairs(folder / "in"), 1, {}, 2000)));
  CHECK(contains(run_basin(folder, tune + "other.safetensors --ignore-label 999").err,
                 "--ignore-label 999: no label image contains this value\n"));
  // Images that the model was trained on are recognised by their pixels alone.
  {
    Model model = load_model(folder / "m.safetensors", {});
    model.info["trained_on"] = image_fingerprints(read_examples(find_pairs(folder / "in"), 1, {}));
    save_model(folder / "m.safetensors", {}, *model.method, model.info);
  }
  const Ran seen = run_basin(folder, tune + "seen.safetensors --ignore-label 2000");
  CHECK(seen.code == 1);
  CHECK_MESSAGE(contains(seen.err, "was trained on all of these images; give others"), seen.err);

  const Ran unlabelled =
      run_basin(folder, "compare-models in/a_img.png --models m.safetensors --device cpu --ignore-label 2000");
  CHECK(unlabelled.code == 1);
  CHECK_MESSAGE(contains(unlabelled.err, "--ignore-label 2000: in/a_img.png has no labels to score by"),
                unlabelled.err);
}

TEST_CASE("compare-models and report: true objects that share pixels are scored whole, as by evaluate") {
  const Folder folder;
  put_sample(folder, "labels/a");
  // Each nucleus is outlined twice: flattened, nothing would be left of the second outline.
  Planes twice = masks_of(read_labels(folder / "labels/a_masks.png"));
  const size_t nuclei = twice.objects.size();
  for (size_t k = 0; k < nuclei; ++k) {
    std::vector<Planes::Run> smaller = twice.objects[k];
    if (smaller.size() > 2) smaller.pop_back();
    twice.objects.push_back(smaller);
  }
  fs::create_directories(folder / "in");
  fs::copy_file(sample_images / "nuclei_000_img.png", folder / "in/a.png");
  write_instances(folder / "in/a_masks.tif", twice, {});
  run_basin(folder, "segment in/a.png --model nuclei-fluo --device cpu --save labels --out out");
  const Ran evaluated = run_basin(folder, "evaluate --pred out --truth in --json e.json");
  REQUIRE_MESSAGE(evaluated.code == 0, evaluated.err);
  const Json scores = json_in(folder / "e.json");
  CHECK(scores["objects"]["true"] == 2 * nuclei);

  const Ran compared =
      run_basin(folder, "compare-models in --models nuclei-fluo --device cpu --json t.json --report page.html");
  REQUIRE_MESSAGE(compared.code == 0, compared.err);
  const Json row = json_in(folder / "t.json")["models"][0];
  CHECK(row["AP50 (stardist, per-image mean, >=, planes many to one)"] == scores["metrics"]["AP50"]["mean"]);
  CHECK(row["AP75 (stardist, per-image mean, >=, planes many to one)"] == scores["metrics"]["AP75"]["mean"]);
  CHECK(row["count_MAE (per-image mean, objects)"] == scores["metrics"]["count_MAE"]["mean"]);
  const std::string page = read_bytes(folder / "page.html"),
                    drawn = "; pixels that objects share are drawn for the first of them";
  const Json counts = scores["counts"][0];
  CHECK(contains(page, to_text(counts["true_positive"]) + " matched (green), " + to_text(counts["false_negative"]) +
                           " missed (orange), " + to_text(counts["false_positive"]) + " false (purple)" + drawn));
  CHECK(contains(page, "truth, " + std::to_string(2 * nuclei) + " objects" + drawn));

  const Ran reported = run_basin(folder, "report in --pred out --truth in --out report.html");
  REQUIRE_MESSAGE(reported.code == 0, reported.err);
  const std::string report = read_bytes(folder / "report.html");
  CHECK(contains(report, ", " + std::to_string(2 * nuclei) + " true; AP50 "));
  char ap[16];
  std::snprintf(ap, sizeof ap, "AP50 %.3f", scores["metrics"]["AP50"]["mean"].get<double>());
  CHECK(contains(report, ap));
  CHECK(contains(report, "truth, " + std::to_string(2 * nuclei) + " objects" + drawn));

  // Predictions that share pixels are scored whole, too.
  fs::create_directories(folder / "whole");
  write_instances(folder / "whole/a_instances.tif", twice, {});
  REQUIRE(run_basin(folder, "report in --pred whole --truth in --out report.html").code == 0);
  CHECK(contains(read_bytes(folder / "report.html"), std::to_string(2 * nuclei) + " true; AP50 1.000"));
}

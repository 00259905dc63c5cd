#include <algorithm>

#include "data/metrics/metrics_files.h"
#include "kernels/runtime/platform.h"
#include "tests/support/evaluate_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("evaluate: golden values of a folder in JSON, CSV and the table") {
  const ScoreFolder folder("evaluate_golden");
  write_golden(folder);
  const Json json = evaluate_json(folder);
  CHECK(json["dialect"] == "stardist");
  CHECK(json["images"] == 3);
  CHECK(json["objects"]["true"] == 6);
  CHECK(json["objects"]["predicted"] == 5);
  const auto check = [](const Json& value, double want) {
    REQUIRE(value.is_number());
    CHECK(std::abs(value.get<double>() - want) < 6e-5);
  };
  check(json["metrics"]["AP50"]["mean"], 0.5833);
  check(json["metrics"]["AP75"]["mean"], 0.4667);
  check(json["metrics"]["AP90"]["mean"], 0.3333);
  check(json["metrics"]["AP50"]["pooled"], 0.5714);
  check(json["metrics"]["AP75"]["pooled"], 0.3750);
  check(json["metrics"]["AP90"]["pooled"], 0.1);
  check(json["metrics"]["count_MAE"]["mean"], 1);
  CHECK(json["metrics"]["count_MAE"]["pooled"].is_null());
  CHECK(!json["metrics"].contains("VOC_AP50"));
  CHECK(json["counts"].size() == 10);
  CHECK(json["counts"][0]["true_positive"] == 4);
  CHECK(json["counts"][0]["false_positive"] == 1);
  CHECK(json["counts"][0]["false_negative"] == 2);
  CHECK(json["curve"]["threshold"].size() == 100);
  CHECK(json["curve"]["AP"]["mean"][0] == json["metrics"]["AP50"]["mean"]);
  CHECK(json["curve"]["AP"]["pooled"][0] == json["metrics"]["AP50"]["pooled"]);
  check(json["curve"]["AP"]["pooled"][99], 0.1);  // the one identical object
  REQUIRE(json["per_image"].size() == 3);
  CHECK(json["per_image"][0]["image"] == "a");
  check(json["per_image"][0]["metrics"]["AP75"], 0.4);
  check(json["per_image"][0]["metrics"]["SBD"], 0.7652);
  check(json["per_image"][1]["metrics"]["AP95"], 1);
  check(json["per_image"][2]["metrics"]["AP50"], 0);

  const Json torchvf = evaluate_json(folder, "--dialect torchvf");
  check(torchvf["metrics"]["AP75"]["pooled"], 0.2222);
  check(torchvf["metrics"]["AP90"]["pooled"], 0.1);
  check(torchvf["per_image"][0]["metrics"]["AP75"], 0.1667);
  check(evaluate_json(folder, "--dialect dsb2018")["per_image"][0]["metrics"]["AP50:95"], 0.2867);
  check(evaluate_json(folder, "--dialect cellpose")["metrics"]["AP75"]["mean"], 0.4667);

  const fs::path csv = folder.path / "scores.csv";
  const Evaluated result = evaluate(folder, "--csv '" + csv.string() + "'");
  REQUIRE(result.good);
  mentions(result.out, "3 images, 6 true and 5 predicted objects");
  mentions(result.out, "AP50 (stardist, per-image mean, >=)");
  mentions(result.out, "AP50 (stardist, pooled, >=)");
  const size_t line = result.out.find("AP75 (stardist, pooled, >=)");
  REQUIRE(line != std::string::npos);
  mentions(result.out.substr(line, result.out.find('\n', line) - line), " 0.3750");
  const std::string table = read(csv);
  CHECK(std::count(table.begin(), table.end(), '\n') == 4);
  CHECK(table.rfind("image,true_objects,predicted_objects,AP50,AP55,", 0) == 0);
  mentions(table, ",AP@0.5000,AP@0.5051,");
  mentions(table, "\na,3,4,0.75,");
  mentions(table, "\nd,2,0,0,");
}

TEST_CASE("evaluate: an undefined value is null in JSON, a dash in the table and an empty field in CSV") {
  const ScoreFolder folder("evaluate_empty");
  folder.labels("truth/x_masks.npy", nothing);
  folder.labels("prediction/x_masks.npy", nothing);
  const Json json = evaluate_json(folder, "--dialect cellpose --csv '" + (folder.path / "scores.csv").string() + "'");
  CHECK(json["metrics"]["AP50"]["mean"].is_null());
  CHECK(json["metrics"]["AP50"]["pooled"].is_null());
  CHECK(json["per_image"][0]["metrics"]["AP50"].is_null());
  CHECK(json["curve"]["AP"]["mean"][7].is_null());
  CHECK(json["metrics"]["AJI"]["mean"] == 1);
  mentions(read(folder.path / "scores.csv"), "\nx,0,0,,,");
  const std::string out = evaluate(folder, "--dialect torchvf").out;
  const size_t line = out.find("AP50 (torchvf, pooled, >)");
  REQUIRE(line != std::string::npos);
  mentions(out.substr(line, out.find('\n', line) - line), " -");
  CHECK(evaluate_json(folder)["metrics"]["AP50"]["mean"] == 0);
}

TEST_CASE("evaluate: the same bytes at 1, 2 and 7 threads") {
  const ScoreFolder folder("evaluate_threads");
  for (int k = 0; k < 9; ++k) {
    const std::string name = "image" + std::to_string(k) + "_masks.npy";
    folder.labels("truth/" + name, random_blocks(40, 30, 5, 0.9, unsigned(k)));
    folder.labels("prediction/" + name, random_blocks(40, 30, 5, 0.9, unsigned(k) + 50));
  }
  std::vector<std::string> files;
  for (const char* threads : {"1", "2", "7"})
    files.push_back(evaluate_json(folder, std::string("--threads ") + threads).dump());
  CHECK(files[0] == files[1]);
  CHECK(files[0] == files[2]);
}

TEST_CASE("evaluate: VOC2010 is computed if there are confidences") {
  const ScoreFolder folder("evaluate_voc");
  write_golden(folder);
  // By confidence: label 40 is first and hits nothing at .5; then 2 and 1 hit, then 3.
  folder.text("prediction/a_scores.csv",
              "score, label,area\r\n0.25,3,72\r\n0.5,2,48\r\n\r\n0.375,1,64\r\n1e0,40,56\r\n");
  folder.text("prediction/b_scores.csv", "file,\"label\",score\n\"b, the second\",65536,\"0.75\"\n");
  const Json json = evaluate_json(folder);
  const double a = 3 / 4.0;  // the envelope of 0, 1/2, 2/3, 3/4
  CHECK(json["per_image"][0]["metrics"]["VOC_AP50"].get<double>() == doctest::Approx(a));
  CHECK(json["per_image"][1]["metrics"]["VOC_AP50"] == 1);
  CHECK(json["per_image"][2]["metrics"]["VOC_AP50"] == 0);
  // All: miss, hit, hit, hit, hit of six true objects.
  CHECK(json["metrics"]["VOC_AP50"]["pooled"].get<double>() == doctest::Approx(4 / 6.0 * 4 / 5));
  const Evaluated printed = evaluate(folder, "--csv '" + (folder.path / "scores.csv").string() + "'");
  mentions(printed.out, "VOC_AP50 (pooled, VOC2010, >)");
  mentions(printed.out, "VOC_box_AP50 (pooled, VOC2010 of boxes, >=)");
  // The boxes of label 3 and of its truth: 8 * 7 of 15 * 7. All others match as their masks do.
  CHECK(json["metrics"]["VOC_box_AP50"]["pooled"].get<double>() == doctest::Approx(4 / 6.0 * 4 / 5));
  CHECK(json["curve"]["VOC_AP"]["pooled"][0] == json["metrics"]["VOC_AP50"]["pooled"]);
  CHECK(json["curve"]["VOC_box_AP"]["mean"][0] == json["metrics"]["VOC_box_AP50"]["mean"]);
  CHECK(json["curve"]["VOC_box_AP"]["mean"].size() == 100);
  CHECK(json["per_image"][1]["curve"]["VOC_AP"][99] == 0);  // an IoU of 1 is not above 1
  CHECK(json["per_image"][1]["curve"]["VOC_box_AP"][99] == 1);
  mentions(read(folder.path / "scores.csv"), ",VOC_box_AP@0.5051,");

  fs::remove(folder.path / "prediction/b_scores.csv");
  mentions(refusal(folder), "b_scores.csv");
  const std::pair<const char*, const char*> bad[] = {{"label,score\n65536,high\n", "line 2"},
                                                     {"label,score\n65536,nan\n", "line 2"},
                                                     {"label,score\n65536\n", "line 2"},
                                                     {"label,score\n0,1\n", "line 2"},
                                                     {"label,score\n1,.5\n1,.5\n", "line 3"},
                                                     {"label,score\n1,.5\n2,.5\n", "2 labels"},
                                                     {"label,confidence\n1,.5\n", "'score'"},
                                                     {"", "is empty"},
                                                     {"label,score\n1,\"2\n", "line 2: a quotation mark"}};
  for (const auto& [text, part] : bad) {
    folder.text("prediction/b_scores.csv", text);
    const std::string error = refusal(folder);
    mentions(error, "b_scores.csv");
    mentions(error, part);
  }
}

TEST_CASE("evaluate: errors name the file, and nothing is written") {
  const ScoreFolder folder("evaluate_refuse");
  const std::string json = "--json '" + (folder.path / "out.json").string() + "'";
  mentions(refusal(folder, json), (folder.path / "prediction").string() + ": contains no label images");
  write_golden(folder);
  fs::remove(folder.path / "prediction/b_masks.npy");
  mentions(refusal(folder, json), (folder.path / "prediction/b_masks").string());
  folder.labels("prediction/b_masks.npy", boxes(24, 23, {}));
  const std::string error = refusal(folder, json);
  mentions(error, (folder.path / "prediction/b_masks.npy").string());
  mentions(error, (folder.path / "truth/b_masks.npy").string());
  mentions(error, "23 x 24");
  folder.text("prediction/b_masks.npy", "damaged");
  mentions(refusal(folder, json), (folder.path / "prediction/b_masks.npy").string());
  folder.labels("prediction/b_masks.npy", square);
  folder.labels("prediction/a_masks.npy", square);
  folder.text("prediction/a_masks.tif", "");
  mentions(refusal(folder, json), "a_masks.tif: has the same stem as a_masks.npy");
  CHECK(!fs::exists(folder.path / "out.json"));
  fs::remove(folder.path / "prediction/a_masks.tif");
  mentions(refusal(folder, "--json '" + (folder.path / "absent/out.json").string() + "'"), "absent");
  mentions(refusal(folder, "--dialect coco"), "dialect");
  CHECK_THROWS_AS(pair_labels(folder.path / "absent", folder.path / "truth"), Error);
}

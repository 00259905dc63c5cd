#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "data/image.h"
#include "data/metrics_files.h"
#include "data/npy.h"
#include "engine/json.h"
#include "kernels/platform.h"
#include "tests/score_support.h"
#include "tests/support.h"

using namespace basin;
using namespace basin::test;
namespace fs = std::filesystem;

namespace {

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// An empty folder of its own for each test case; gone at its end.
struct Folder {
  fs::path path;
  std::string truth = "truth";  // what --truth names
  explicit Folder(const std::string& name)
      : path(fs::temp_directory_path() / ("basin_" + name + std::to_string(getpid()))) {
    fs::remove_all(path);
    fs::create_directories(path / "truth");
    fs::create_directories(path / "prediction");
  }
  ~Folder() { fs::remove_all(path); }

  /// int32 [H,W] as .npy; `ids`, where given, replace 1, 2, ...
  void labels(const std::string& file, const Labels& labels, const std::vector<int32_t>& ids = {}) const {
    std::string header = "{'descr': '<i4', 'fortran_order': False, 'shape': (" + std::to_string(labels.height) + ", " +
                         std::to_string(labels.width) + "), }";
    header.resize((10 + header.size()) / 64 * 64 + 64 - 10, ' ');
    header.back() = '\n';
    std::ofstream out(path / file, std::ios::binary);
    out << "\x93NUMPY" << '\1' << '\0' << char(header.size() % 256) << char(header.size() / 256) << header;
    for (const int32_t k : labels.ids) {
      const int32_t id = k > 0 && !ids.empty() ? ids[size_t(k) - 1] : k;
      out.write(reinterpret_cast<const char*>(&id), sizeof id);
    }
  }

  void text(const std::string& file, const std::string& content) const { std::ofstream(path / file) << content; }
};

struct Result {
  bool good;
  std::string out, error;
};

Result evaluate(const Folder& folder, const std::string& options = "") {
  const fs::path out = folder.path / "stdout", error = folder.path / "stderr";
  const std::string command =
      std::string("'") + BASIN_COMMAND + "' evaluate --pred '" + (folder.path / "prediction").string() + "' --truth '" +
      (folder.path / folder.truth).string() + "' " + options + " > '" + out.string() + "' 2> '" + error.string() + "'";
  const bool good = std::system(command.c_str()) == 0;
  return {good, read(out), read(error)};
}

Json evaluate_json(const Folder& folder, const std::string& options = "") {
  const fs::path file = folder.path / "scores.json";
  const Result result = evaluate(folder, options + " --json '" + file.string() + "'");
  INFO(result.error);
  REQUIRE(result.good);
  return Json::parse(read(file));
}

/// The sentence of a run that must fail.
std::string refusal(const Folder& folder, const std::string& options = "") {
  const Result result = evaluate(folder, options);
  CHECK(!result.good);
  CHECK(result.out.empty());
  return result.error;
}

bool mentions(const std::string& text, const std::string& part) {
  CAPTURE(text);
  CAPTURE(part);
  const bool found = text.find(part) != std::string::npos;
  CHECK(found);
  return found;
}

/// The three images of which the peers' own scores are known; ids with gaps.
void write_golden(const Folder& folder) {
  folder.labels("truth/a_masks.npy", true_a, {3, 70, 1000});
  folder.labels("prediction/a_masks.npy", predicted_a, {1, 2, 3, 40});
  folder.labels("truth/b_masks.npy", square, {9});
  folder.labels("prediction/b_masks.npy", square, {65536});
  folder.labels("truth/d_masks.npy", true_d);
  folder.labels("prediction/d_masks.npy", nothing);
}

}  // namespace

TEST_CASE("evaluate: golden values of a folder, in JSON, CSV and the table") {
  const Folder folder("evaluate_golden");
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
  const Result result = evaluate(folder, "--csv '" + csv.string() + "'");
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

TEST_CASE("evaluate: an undefined value is null, a dash, and an empty field") {
  const Folder folder("evaluate_empty");
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
  const Folder folder("evaluate_threads");
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

TEST_CASE("evaluate: confidences give VOC2010") {
  const Folder folder("evaluate_voc");
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
  const Result printed = evaluate(folder, "--csv '" + (folder.path / "scores.csv").string() + "'");
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
                                                     {"", "'label'"},
                                                     {"label,score\n1,\"2\n", "line 2: a quotation mark"}};
  for (const auto& [text, part] : bad) {
    folder.text("prediction/b_scores.csv", text);
    const std::string error = refusal(folder);
    mentions(error, "b_scores.csv");
    mentions(error, part);
  }
}

TEST_CASE("evaluate: pairs by stem") {
  const Folder folder("evaluate_pairs");
  folder.labels("truth/x_masks.npy", square);
  folder.labels("truth/x_img.npy", nothing);     // not a label image where there are *_masks.*
  folder.labels("prediction/x.npy", square);     // no *_masks.* here: every image is one
  folder.labels("prediction/more.npy", square);  // no truth asks for it
  folder.text("prediction/x_overlay.png", "no label image");
  folder.text("prediction/notes.txt", "");
  for (const char* hidden :
       {"truth/._x_masks.npy", "truth/._x_masks.png", "prediction/._x.png", "prediction/._x_masks.png"})
    folder.text(hidden, "what macOS leaves behind");
  const Json json = evaluate_json(folder);
  CHECK(json["images"] == 1);
  CHECK(json["metrics"]["AP95"]["mean"] == 1);
  const Result result = evaluate(folder);
  CHECK(result.good);
  mentions(result.error, "left out 1 ");
  mentions(result.error, "more.npy");

  const LabelPairs pairs = pair_labels(folder.path / "prediction", folder.path / "truth");
  REQUIRE(pairs.pairs.size() == 1);
  CHECK(pairs.pairs[0].stem == "x");
  CHECK(labels_path(pairs.pairs[0].truth).filename() == "x_masks.npy");
  CHECK(labels_path(pairs.pairs[0].prediction).filename() == "x.npy");
  CHECK(confidence_path(pairs.pairs[0].truth) == folder.path / "truth/x_scores.csv");

  const LabelPairs files = pair_labels(folder.path / "prediction/more.npy", folder.path / "truth/x_masks.npy");
  REQUIRE(files.pairs.size() == 1);
  CHECK(labels_path(files.pairs[0].prediction).filename() == "more.npy");
}

TEST_CASE("evaluate: truth in every layout that train takes") {
  const auto picture = [](const fs::path& path) {
    fs::create_directories(path.parent_path());
    write_png(path, {24, 24, 1, PixelType::u8, std::vector<std::byte>(24 * 24)});
  };
  const auto put = [](const fs::path& path, const Labels& labels) {
    fs::create_directories(path.parent_path());
    write_labels(path, labels);
  };
  // Image a has three objects, image e none; what is predicted for a has an AP75 of .4, for e of 1.
  const auto check = [](const Folder& folder) {
    folder.labels("prediction/a_masks.npy", predicted_a, {1, 2, 3, 40});
    folder.labels("prediction/e_masks.npy", nothing);
    const Json json = evaluate_json(folder);
    CHECK(json["images"] == 2);
    CHECK(json["objects"]["true"] == 3);
    CHECK(json["per_image"][0]["image"] == "a");
    CHECK(json["per_image"][0]["metrics"]["AP75"].get<double>() == doctest::Approx(0.4));
    CHECK(json["per_image"][1]["metrics"]["AJI"] == 1);
    return json["per_image"][0]["truth"].get<std::string>();
  };
  SUBCASE("<stem>_masks.* beside <stem>_img.* or <stem>.*") {
    const Folder folder("evaluate_flat");
    picture(folder.path / "truth/a_img.png"), put(folder.path / "truth/a_masks.tif", true_a);
    picture(folder.path / "truth/e.png"), put(folder.path / "truth/e_masks.png", nothing);
    mentions(check(folder), "truth/a_masks.tif");
  }
  SUBCASE("images/ and masks/") {
    const Folder folder("evaluate_siblings");
    picture(folder.path / "truth/images/a.png"), put(folder.path / "truth/masks/a.png", true_a);
    picture(folder.path / "truth/images/e.png"), put(folder.path / "truth/masks/e.tif", nothing);
    mentions(check(folder), "truth/masks/a.png");
    put(folder.path / "truth/masks/f.png", nothing);
    mentions(refusal(folder), "f.png (no image)");
  }
  SUBCASE("folders of the Data Science Bowl, one without an object") {
    const Folder folder("evaluate_dsb");
    picture(folder.path / "truth/a/images/a.png"), picture(folder.path / "truth/e/images/e.png");
    fs::create_directories(folder.path / "truth/e/masks");
    for (int k = 1; k <= 3; ++k) {
      Labels one = true_a;
      for (int32_t& id : one.ids)
        id = id == k;
      one.count = 1;
      put(folder.path / ("truth/a/masks/" + std::to_string(k) + ".png"), one);
    }
    mentions(check(folder), "truth/a/masks");
    put(folder.path / "truth/a/masks/4.png", boxes(25, 24, {}));
    mentions(refusal(folder), "4.png: is 24 x 25 pixels, but 1.png is 24 x 24");
  }
  SUBCASE("a CSV list") {
    Folder folder("evaluate_csv");
    picture(folder.path / "truth/raw/a_img.png"), put(folder.path / "truth/labels/1.png", true_a);
    picture(folder.path / "truth/raw/e.png"), put(folder.path / "truth/labels/2.png", nothing);
    folder.truth = "truth/list.csv";
    folder.text(folder.truth, "image,mask\nraw/e.png,labels/2.png\nraw/a_img.png,labels/1.png\n");
    mentions(check(folder), "truth/labels/1.png");
  }
  SUBCASE("one label image against a folder") {
    Folder folder("evaluate_single");
    put(folder.path / "truth/a_masks.png", true_a);
    folder.labels("prediction/a_masks.npy", predicted_a), folder.labels("prediction/e_masks.npy", nothing);
    folder.truth = "truth/a_masks.png";
    CHECK(evaluate_json(folder)["images"] == 1);
  }
}

TEST_CASE("evaluate: true objects on planes of their own") {
  const Folder folder("evaluate_planes");
  // Two worms that cross in 7 x 7 pixels, and a plane that is empty. The second loses the pixel that they share.
  std::vector<uint8_t> planes(3 * 49, 0);
  std::vector<int32_t> ids(49, 0);
  for (size_t k = 0; k < 7; ++k) {
    planes[7 * k + 3] = 1, ids[7 * k + 3] = 2;
    planes[2 * 49 + 21 + k] = 255, ids[21 + k] = 1;
  }
  write_npy(folder.path / "truth/a_masks.npy", {3, 7, 7}, planes.data());
  write_npy(folder.path / "prediction/a_masks.npy", {7, 7}, ids.data());
  folder.labels("truth/b_masks.npy", square), folder.labels("prediction/b_masks.npy", square);
  const Json json = evaluate_json(folder);
  CHECK(json["objects"]["true"] == 3);
  CHECK(json["metrics"]["AP50"]["rule"] == "stardist, >=, planes many to one");
  CHECK(json["per_image"][0]["metrics"]["AP85"] == 1);
  CHECK(json["per_image"][0]["metrics"]["AP90"].get<double>() == doctest::Approx(1 / 3.0));
  CHECK(json["per_image"][0]["metrics"]["semantic_IoU"] == 1);
  CHECK(json["metrics"]["AP90"]["pooled"].get<double>() == doctest::Approx(2 / 4.0));
  CHECK(json["counts"][8]["false_negative"] == 1);
  planes[0] = 7;
  write_npy(folder.path / "truth/a_masks.npy", {3, 7, 7}, planes.data());
  mentions(refusal(folder), "a_masks.npy: image 1 holds several numbers");
  write_npy(folder.path / "truth/a_masks.npy", {3, 49}, planes.data());
  mentions(refusal(folder), "49 x 3");
  write_npy(folder.path / "prediction/a_masks.npy", {3, 7, 7}, planes.data());
  mentions(refusal(folder), "prediction/a_masks.npy: is no label image");
}

TEST_CASE("evaluate: several folders, and the mean of their means") {
  const Folder folder("evaluate_subsets");
  folder.labels("truth/1_masks.npy", true_a), folder.labels("prediction/1_masks.npy", predicted_a);
  folder.labels("truth/2_masks.npy", true_d), folder.labels("prediction/2_masks.npy", nothing);
  fs::create_directories(folder.path / "A2");
  folder.labels("A2/1_masks.npy", square);
  const std::string second = " --pred '" + (folder.path / "A2").string() + "'";
  const std::string both = second + " --truth '" + (folder.path / "A2").string() + "'";
  const Json json = evaluate_json(folder, both);
  CHECK(json["images"] == 3);
  CHECK(json["truth"] == Json{(folder.path / "truth").string(), (folder.path / "A2").string()});
  CHECK(json["metrics"]["AP50"]["mean"].get<double>() == doctest::Approx(1.75 / 3));
  CHECK(json["metrics"]["AP50"]["mean_of_subsets"].get<double>() == doctest::Approx((0.75 / 2 + 1) / 2));
  CHECK(json["per_image"][2]["subset"] == (folder.path / "A2").string());
  CHECK(json["per_image"][2]["metrics"]["SBD"] == 1);
  const fs::path csv = folder.path / "scores.csv";
  const Result result = evaluate(folder, both + " --csv '" + csv.string() + "'");
  mentions(result.out, "AP50 (stardist, mean of subsets' means, >=)");
  mentions(read(csv), "\n" + (folder.path / "A2").string() + ",1,1,1,1,");
  CHECK(read(csv).rfind("subset,image,true_objects,", 0) == 0);
  mentions(refusal(folder, second), "2 --pred and 1 --truth");
  CHECK(!evaluate_json(folder)["metrics"]["AP50"].contains("mean_of_subsets"));
}

TEST_CASE("evaluate: PNG against TIFF") {
  const Folder folder("evaluate_formats");
  write_labels(folder.path / "truth/a_masks.png", true_a);
  write_labels(folder.path / "prediction/a_masks.tif", predicted_a);
  const Json json = evaluate_json(folder);
  CHECK(json["metrics"]["AP75"]["mean"].get<double>() == doctest::Approx(0.4));
}

TEST_CASE("evaluate: refuses with the name of the file, and writes nothing") {
  const Folder folder("evaluate_refuse");
  const std::string json = "--json '" + (folder.path / "out.json").string() + "'";
  mentions(refusal(folder, json), (folder.path / "prediction").string() + ": holds no label images");
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

#include "data/arrays/npy.h"
#include "data/files/image.h"
#include "data/metrics/metrics_files.h"
#include "tests/support/evaluate_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// An image of 24 x 24 px, in folders that are created.
void put_blank_image(const fs::path& path) {
  fs::create_directories(path.parent_path());
  write_png(path, {24, 24, 1, PixelType::u8, std::vector<std::byte>(24 * 24)});
}

/// A label image, in folders that are created.
void put_labels(const fs::path& path, const Labels& labels) {
  fs::create_directories(path.parent_path());
  write_labels(path, labels);
}

}  // namespace

TEST_CASE("evaluate: true labels are read in every layout that train supports") {
  // Image a has three objects, image e none; what is predicted for a has an AP75 of .4, for e of 1.
  const auto check = [](const ScoreFolder& folder) {
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
    const ScoreFolder folder("evaluate_flat");
    put_blank_image(folder.path / "truth/a_img.png"), put_labels(folder.path / "truth/a_masks.tif", true_a);
    put_blank_image(folder.path / "truth/e.png"), put_labels(folder.path / "truth/e_masks.png", nothing);
    mentions(check(folder), "truth/a_masks.tif");
  }
  SUBCASE("images/ and masks/") {
    const ScoreFolder folder("evaluate_siblings");
    put_blank_image(folder.path / "truth/images/a.png"), put_labels(folder.path / "truth/masks/a.png", true_a);
    put_blank_image(folder.path / "truth/images/e.png"), put_labels(folder.path / "truth/masks/e.tif", nothing);
    mentions(check(folder), "truth/masks/a.png");
    put_labels(folder.path / "truth/masks/f.png", nothing);
    mentions(refusal(folder), "f.png (no image)");
  }
  SUBCASE("folders of the Data Science Bowl, one without an object") {
    const ScoreFolder folder("evaluate_dsb");
    put_blank_image(folder.path / "truth/a/images/a.png"), put_blank_image(folder.path / "truth/e/images/e.png");
    fs::create_directories(folder.path / "truth/e/masks");
    for (int k = 1; k <= 3; ++k) {
      Labels one = true_a;
      for (int32_t& id : one.ids)
        id = id == k;
      one.count = 1;
      put_labels(folder.path / ("truth/a/masks/" + std::to_string(k) + ".png"), one);
    }
    mentions(check(folder), "truth/a/masks");
    put_labels(folder.path / "truth/a/masks/4.png", boxes(25, 24, {}));
    mentions(refusal(folder), "4.png: is 24 x 25 pixels, but 1.png is 24 x 24");
  }
  SUBCASE("a CSV list") {
    ScoreFolder folder("evaluate_csv");
    put_blank_image(folder.path / "truth/raw/a_img.png"), put_labels(folder.path / "truth/labels/1.png", true_a);
    put_blank_image(folder.path / "truth/raw/e.png"), put_labels(folder.path / "truth/labels/2.png", nothing);
    folder.truth = "truth/list.csv";
    folder.text(folder.truth, "image,mask\nraw/e.png,labels/2.png\nraw/a_img.png,labels/1.png\n");
    mentions(check(folder), "truth/labels/1.png");
  }
  SUBCASE("one label image against a folder") {
    ScoreFolder folder("evaluate_single");
    put_labels(folder.path / "truth/a_masks.png", true_a);
    folder.labels("prediction/a_masks.npy", predicted_a), folder.labels("prediction/e_masks.npy", nothing);
    folder.truth = "truth/a_masks.png";
    CHECK(evaluate_json(folder)["images"] == 1);
  }
}

TEST_CASE("evaluate: results in the folders of segment --recursive are paired by the paths of their images") {
  SUBCASE("Data Science Bowl") {
    const ScoreFolder folder("evaluate_below_dsb");
    for (const char* id : {"a", "b"}) {
      put_blank_image(folder.path / "truth" / id / "images" / (std::string(id) + ".png"));
      put_labels(folder.path / "truth" / id / "masks/1.png", square);
      put_labels(folder.path / "prediction" / id / "images" / (std::string(id) + "_masks.png"), square);
      put_blank_image(folder.path / "prediction" / id / "images" / (std::string(id) + "_overlay.png"));
    }
    const Json json = evaluate_json(folder);
    CHECK(json["images"] == 2);
    CHECK(json["metrics"]["AP50"]["mean"] == 1);
    fs::remove(folder.path / "prediction/b/images/b_masks.png");
    mentions(refusal(folder), "prediction/b/images/b_masks.*: missing");
  }
  SUBCASE("images/ and masks/") {
    const ScoreFolder folder("evaluate_below_siblings");
    put_blank_image(folder.path / "truth/images/a.png"), put_labels(folder.path / "truth/masks/a.png", square);
    put_labels(folder.path / "prediction/images/a_masks.png", square);
    CHECK(evaluate_json(folder)["metrics"]["AP50"]["mean"] == 1);
  }
  SUBCASE("labels beside images in several folders, with equal names") {
    const ScoreFolder folder("evaluate_below_plates");
    for (const char* plate : {"p1", "p2"})
      put_labels(folder.path / "truth" / plate / "x_masks.tif", std::string(plate) == "p1" ? square : nothing);
    put_labels(folder.path / "prediction/p1/x_masks.png", square),
        put_labels(folder.path / "prediction/p2/x_masks.png", nothing);
    const Json json = evaluate_json(folder);
    CHECK(json["per_image"][1]["image"] == "p2/x");
    CHECK(json["objects"]["true"] == 1);
    CHECK(json["objects"]["predicted"] == 1);
  }
}

TEST_CASE("evaluate: true objects may be stored as one plane per object") {
  const ScoreFolder folder("evaluate_planes");
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
  mentions(refusal(folder), "a_masks.npy: image 1 contains several numbers");
  write_npy(folder.path / "truth/a_masks.npy", {3, 49}, planes.data());
  mentions(refusal(folder), "49 x 3");
  write_npy(folder.path / "prediction/a_masks.npy", {3, 7, 7}, planes.data());
  mentions(refusal(folder), "prediction/a_masks.npy: is not a label image");
}

TEST_CASE("evaluate: several folders are scored together, with the mean of their means") {
  const ScoreFolder folder("evaluate_subsets");
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
  const Evaluated result = evaluate(folder, both + " --csv '" + csv.string() + "'");
  mentions(result.out, "AP50 (stardist, mean of subsets' means, >=)");
  mentions(read(csv), "\n" + (folder.path / "A2").string() + ",1,1,1,1,");
  CHECK(read(csv).rfind("subset,image,true_objects,", 0) == 0);
  mentions(refusal(folder, second), "2 --pred and 1 --truth");
  CHECK(!evaluate_json(folder)["metrics"]["AP50"].contains("mean_of_subsets"));
}

TEST_CASE("evaluate: predictions and true labels are paired by stem") {
  const ScoreFolder folder("evaluate_pairs");
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
  const Evaluated result = evaluate(folder);
  CHECK(result.good);
  mentions(result.error, "1 prediction without a true label image left out");
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

TEST_CASE("evaluate: true labels in PNG are compared with predictions in TIFF") {
  const ScoreFolder folder("evaluate_formats");
  write_labels(folder.path / "truth/a_masks.png", true_a);
  write_labels(folder.path / "prediction/a_masks.tif", predicted_a);
  const Json json = evaluate_json(folder);
  CHECK(json["metrics"]["AP75"]["mean"].get<double>() == doctest::Approx(0.4));
}

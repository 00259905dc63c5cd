#include <chrono>

#include "data/metrics/assignment.h"
#include "kernels/runtime/platform.h"
#include "tests/support/score_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("metrics: an overlap table by hand") {
  // truth 1 1 2 2   prediction 1 1 1 0
  //       0 1 2 0              2 2 0 0
  const Labels truth{2, 4, 2, {1, 1, 2, 2, 0, 1, 2, 0}}, prediction{2, 4, 2, {1, 1, 1, 0, 2, 2, 0, 0}};
  const Overlap table = overlap(truth, prediction);
  CHECK(table.truth_area == std::vector<int64_t>{2, 3, 3});
  CHECK(table.prediction_area == std::vector<int64_t>{3, 3, 2});
  REQUIRE(table.pairs.size() == 3);
  const int want[3][4] = {{1, 1, 2, 4}, {1, 2, 1, 4}, {2, 1, 1, 5}};  // truth, prediction, intersection, union
  for (size_t k = 0; k < 3; ++k) {
    CHECK(table.pairs[k].truth == want[k][0]);
    CHECK(table.pairs[k].prediction == want[k][1]);
    CHECK(table.pairs[k].pixels == want[k][2]);
    CHECK(table.pairs[k].iou == want[k][2] / double(want[k][3]));
  }
}

TEST_CASE("metrics: overlap tables of random images equal counted ones") {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const int height = 1 + int(seed * 7 % 31), width = 1 + int(seed * 5 % 23);
    const Labels truth = random_blocks(height, width, 3, 0.8, seed),
                 prediction = random_blocks(height, width, 5, 0.8, seed + 99);
    const auto dense = dense_overlap(truth, prediction);
    const Overlap table = overlap(truth, prediction);
    auto pair = table.pairs.begin();
    for (size_t i = 1; i < dense.size(); ++i)
      for (size_t j = 1; j < dense[i].size(); ++j) {
        if (dense[i][j] == 0) continue;
        REQUIRE(pair != table.pairs.end());
        CHECK(pair->truth == int(i));
        CHECK(pair->prediction == int(j));
        CHECK(pair->pixels == dense[i][j]);
        ++pair;
      }
    CHECK(pair == table.pairs.end());
  }
}

TEST_CASE("metrics: overlap refuses images of different sizes") {
  CHECK_THROWS_AS(overlap(boxes(3, 4, {}), boxes(4, 3, {})), Error);
  CHECK_THROWS_AS(overlap(Labels{1, 2, 1, {0, 2}}, Labels{1, 2, 0, {0, 0}}), Error);
}

TEST_CASE("metrics: golden values of one image in four dialects") {
  const ImageScore a = score(true_a, predicted_a);
  CHECK(value("AP50", a) == near(0.75));
  CHECK(value("AP75", a) == near(0.4));  // an IoU of 48/64 equals the threshold
  CHECK(value("AP90", a) == 0);
  CHECK(value("AP75", a, Dialect::cellpose) == near(0.4));
  CHECK(value("AP50", a, Dialect::torchvf) == near(0.75));
  CHECK(value("AP75", a, Dialect::torchvf) == near(1 / 6.0));
  CHECK(value("AP90", a, Dialect::torchvf) == 0);
  CHECK(value("mAP", a, Dialect::torchvf) == near((0.75 + 1 / 6.0) / 3));
  CHECK(value("AP50:95", a, Dialect::dsb2018) == to_four_digits(0.2867));
  CHECK(value("AJI", a) == to_four_digits(0.55));
  CHECK(value("AJI+", a) == to_four_digits(0.55));
  CHECK(value("AJI_cellpose", a) == to_four_digits(0.6667));
  CHECK(value("PQ", a) == to_four_digits(0.5972));
  CHECK(value("DQ", a) == to_four_digits(0.8571));
  CHECK(value("SQ", a) == to_four_digits(0.6968));
  CHECK(value("object_F1", a) == value("DQ", a));
  CHECK(value("Dice2", a) == to_four_digits(0.7436));
  CHECK(value("FgBgDice", a) == to_four_digits(0.9355));
  CHECK(value("semantic_F1", a) == value("FgBgDice", a));
  CHECK(value("semantic_IoU", a) == near((56 + 48 + 72 + 56) / double(64 + 64 + 128 + 64 + 48 + 72 + 56 - 232)));
  CHECK(value("SBD", a) == to_four_digits(0.7652));
  CHECK(value("BD_pred", a) == to_four_digits(0.7652));
  CHECK(value("BD_truth", a) == to_four_digits(0.8174));
  CHECK(value("DiC", a) == 1);
  CHECK(value("|DiC|", a) == 1);
  CHECK(value("count_MAE", a) == 1);
  CHECK(value("SEG", a) == to_four_digits(0.6968));
  CHECK(value("DET", a) == to_four_digits(0.9667));
  CHECK(value("OP_CSB", a) == near((value("SEG", a) + value("DET", a)) / 2));
}

TEST_CASE("metrics: golden values of three images, pooled and averaged over images") {
  const std::vector<ImageScore> set = {score(true_a, predicted_a), score(square, square), score(true_d, nothing)};
  for (const Dialect dialect : {Dialect::stardist, Dialect::cellpose}) {
    CHECK(value("AP50", Aggregation::mean, set, dialect) == to_four_digits(0.5833));
    CHECK(value("AP75", Aggregation::mean, set, dialect) == to_four_digits(0.4667));
    CHECK(value("AP90", Aggregation::mean, set, dialect) == to_four_digits(0.3333));
    CHECK(value("AP50", Aggregation::pooled, set, dialect) == to_four_digits(0.5714));
    CHECK(value("AP75", Aggregation::pooled, set, dialect) == to_four_digits(0.3750));
    CHECK(value("AP90", Aggregation::pooled, set, dialect) == to_four_digits(0.1));
  }
  CHECK(value("AP50", Aggregation::pooled, set, Dialect::torchvf) == to_four_digits(0.5714));
  CHECK(value("AP75", Aggregation::pooled, set, Dialect::torchvf) == to_four_digits(0.2222));
  CHECK(value("AP90", Aggregation::pooled, set, Dialect::torchvf) == to_four_digits(0.1));
  CHECK(value("AP50:95", Aggregation::mean, set, Dialect::dsb2018) == to_four_digits((0.286667 + 1 + 0) / 3));
  CHECK(value("count_MAE", Aggregation::mean, set, Dialect::stardist) == 1);
  CHECK(value("DiC", Aggregation::mean, set, Dialect::stardist) == near(-1 / 3.0));
  CHECK(std::isnan(value("DiC", Aggregation::pooled, set, Dialect::stardist)));
  CHECK(*mean_average_precision(set, 0.75) == to_four_digits(0.4667));
}

TEST_CASE("metrics: scores of images without objects, without predictions and without either") {
  const ImageScore empty = score(nothing, nothing), missed = score(true_d, nothing), invented = score(nothing, true_d);
  CHECK(value("AP50", empty, Dialect::stardist) == 0);
  CHECK(value("AP50", empty, Dialect::dsb2018) == 0);
  CHECK(std::isnan(value("AP50", empty, Dialect::torchvf)));
  CHECK(std::isnan(value("AP50", empty, Dialect::cellpose)));
  CHECK(std::isnan(value("mAP", empty, Dialect::cellpose)));
  for (const char* key : {"semantic_IoU", "semantic_F1", "AJI", "AJI+", "AJI_cellpose"})
    CHECK(value(key, empty) == 1);
  for (const char* key : {"SBD", "BD_pred", "BD_truth", "FgBgDice", "DiC", "|DiC|", "count_MAE"})
    CHECK(value(key, empty) == 0);
  for (const char* key : {"PQ", "DQ", "SQ", "object_F1", "object_F1_50:95", "Dice2", "SEG", "DET", "OP_CSB"})
    CHECK(std::isnan(value(key, empty)));
  for (const ImageScore& s : {missed, invented}) {
    for (const char* key : {"AP50", "AP50:95", "mAP", "semantic_IoU", "semantic_F1", "AJI", "AJI+", "AJI_cellpose",
                            "PQ", "DQ", "SQ", "object_F1", "Dice2", "SBD", "BD_pred", "BD_truth", "FgBgDice"})
      CHECK(value(key, s) == 0);
    CHECK(value("AP50", s, Dialect::cellpose) == 0);
    CHECK(value("|DiC|", s) == 2);
  }
  CHECK(value("DiC", missed) == -2);
  CHECK(value("SEG", missed) == 0);
  CHECK(value("DET", missed) == 0);
  CHECK(std::isnan(value("DET", invented)));

  // Images with an undefined score are left out of a mean; a mean over no images is undefined.
  const ImageScore good = score(square, square);
  CHECK(value("AP50", Aggregation::mean, {good, empty}, Dialect::cellpose) == 1);
  CHECK(value("AP50", Aggregation::mean, {good, empty}, Dialect::stardist) == 0.5);
  CHECK(value("AP50", Aggregation::pooled, {good, empty}, Dialect::stardist) == 1);
  CHECK(std::isnan(value("AP50", Aggregation::mean, {empty, empty}, Dialect::torchvf)));
  CHECK(std::isnan(value("AP50", Aggregation::pooled, {empty}, Dialect::torchvf)));
  CHECK(std::isnan(value("AP50", Aggregation::mean, {}, Dialect::stardist)));
}

TEST_CASE("metrics: an IoU of exactly one half gives one match, and none in dialects that require more") {
  const Labels whole = boxes(2, 4, {{0, 2, 0, 4}}), halves = boxes(2, 4, {{0, 2, 0, 2}, {0, 2, 2, 4}});
  for (const bool swap : {false, true}) {
    const ImageScore s = swap ? score(halves, whole) : score(whole, halves);
    CHECK(s.matched == std::vector<double>{0.5});
    CHECK(value("AP50", s, Dialect::stardist) == 0.5);
    CHECK(value("AP50", s, Dialect::cellpose) == 0.5);
    CHECK(value("AP50", s, Dialect::torchvf) == 0);
    CHECK(value("AP50", s, Dialect::dsb2018) == 0);
    CHECK(value("PQ", s) == 0);
    CHECK(value("SQ", s) == 0);
  }
}

TEST_CASE("metrics: thresholds are exact decimals, and an IoU equal to a threshold meets it") {
  const std::vector<double> coco = coco_thresholds(), curve = curve_thresholds();
  CHECK(coco == std::vector<double>{0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95});
  REQUIRE(curve.size() == 100);
  CHECK(curve.front() == 0.5);
  CHECK(curve.back() == 1);
  CHECK(curve[1] - curve[0] == near(0.5 / 99));
  for (int percent = 50; percent < 100; percent += 5) {
    const ImageScore s = score(boxes(1, 100, {{0, 1, 0, 100}}), boxes(1, 100, {{0, 1, 0, percent}}));
    CHECK(counts(s, percent / 100.0, Dialect::stardist).true_positive == 1);
    CHECK(counts(s, percent / 100.0, Dialect::dsb2018).true_positive == 0);
  }
  CHECK_THROWS_AS(counts(score(square, square), 0.49, Dialect::stardist), Error);
  CHECK(counts(score(square, square), 1, Dialect::stardist).true_positive == 1);
}

TEST_CASE("metrics: the matching at one half gives the right counts at every higher threshold") {
  for (unsigned seed = 0; seed < 40; ++seed) {
    const Labels truth = random_blocks(33, 21, 4, 0.9, seed), prediction = random_blocks(33, 21, 4, 0.9, seed + 500);
    const Overlap table = overlap(truth, prediction);
    const ImageScore s = score(table);
    std::vector<double> thresholds = curve_thresholds();
    for (const double t : coco_thresholds())
      thresholds.push_back(t);
    for (const double t : thresholds) {
      CHECK(counts(s, t, Dialect::stardist).true_positive == int64_t(match(table, t).size()));
      int64_t strict = 0;  // predictions with any match, as the scripts of torchvf and Kaggle count them
      std::vector<bool> seen(size_t(prediction.count) + 1, false);
      for (const Overlap::Pair& pair : table.pairs)
        if (pair.iou > t && !seen[size_t(pair.prediction)]) {
          seen[size_t(pair.prediction)] = true;
          ++strict;
        }
      CHECK(counts(s, t, Dialect::torchvf).true_positive == strict);
    }
  }
}

TEST_CASE("metrics: AJI may use a prediction for two true objects, AJI+ may not") {
  // One prediction over two true objects of 4 pixels, and a small one in the second.
  const Labels truth = boxes(2, 6, {{0, 2, 0, 2}, {0, 2, 2, 4}}),
               prediction = boxes(2, 6, {{0, 2, 0, 4}, {0, 1, 3, 4}});
  const ImageScore s = score(truth, prediction);
  // true 1: 4/7 with prediction 1. true 2: 3/8 with it, 1/4 with prediction 2.
  CHECK(value("AJI", s) == near((4 + 3) / double(7 + 8 + 1)));
  CHECK(value("AJI+", s) == near((4 + 1) / double(7 + 4)));
  // 2/8 and 1/4 tie: the first prediction is taken.
  const Labels four = boxes(1, 8, {{0, 1, 0, 4}});
  CHECK(value("AJI", score(four, boxes(1, 8, {{0, 1, 2, 8}, {0, 1, 0, 1}}))) == near(2 / double(8 + 1)));
  CHECK(value("AJI", score(four, boxes(1, 8, {{0, 1, 0, 1}, {0, 1, 2, 8}}))) == near(1 / double(4 + 6)));
  // A prediction without overlap adds its area.
  const Labels far = boxes(2, 6, {{0, 1, 0, 2}, {1, 2, 0, 2}, {0, 2, 5, 6}});
  CHECK(value("AJI", score(boxes(2, 6, {{0, 2, 0, 2}}), far)) == near(2 / double(4 + 2 + 2)));
}

TEST_CASE("metrics: SEG and DET count splits, false negatives and false positives as the CTC does") {
  // Prediction 1 covers three true objects, prediction 2 nothing, true object 4 is missed.
  const Labels truth = boxes(4, 8, {{0, 2, 0, 2}, {0, 2, 2, 4}, {0, 2, 4, 6}, {2, 4, 0, 2}});
  const Labels prediction = boxes(4, 8, {{0, 2, 0, 6}, {2, 4, 6, 8}});
  const ImageScore s = score(truth, prediction);
  CHECK(value("DET", s) == near(1 - (2 * 5 + 10 + 1) / 40.0));
  CHECK(value("SEG", s) == near((3 * 4 / 12.0) / 4));
  // Exactly half a true object is not enough.
  const ImageScore half = score(boxes(1, 4, {{0, 1, 0, 4}}), boxes(1, 4, {{0, 1, 0, 2}}));
  CHECK(value("SEG", half) == 0);
  CHECK(value("DET", half) == 0);  // 10 + 1, held at 10
  CHECK(value("DET", Aggregation::pooled, {half, score(square, square)}, Dialect::stardist) == near(1 - 11 / 20.0));
}

TEST_CASE("metrics: VOC2010 ranks detections by confidence") {
  // Three true objects; detections by confidence: hit, miss, hit, and a second one on the first object.
  const Labels truth = boxes(4, 12, {{0, 2, 0, 4}, {0, 2, 4, 8}, {2, 4, 0, 4}});
  const Labels prediction = boxes(4, 12, {{0, 2, 0, 3}, {2, 4, 8, 12}, {0, 2, 4, 8}, {0, 2, 3, 4}});
  const std::vector<double> confidence = {0.9, 0.8, 0.7, 0.6};
  const ImageScore s = score(overlap(truth, prediction), confidence);
  CHECK(*voc2010(s, 0.5) == to_four_digits(0.5556));
  CHECK(value("VOC_AP50", s) == *voc2010(s, 0.5));
  CHECK(*voc2010(s, 0.75) == near(1 / 9.0));  // 6/8 is not above .75: the only hit is third
  CHECK(value("VOC_AP50:95", s) == near((5 * 5 / 9.0 + 5 * (1 / 9.0)) / 10));
  const std::vector<double> reversed = {0.6, 0.7, 0.8, 0.9};
  CHECK(*voc2010(score(overlap(truth, prediction), reversed), 0.5) == near((0.5 + 0.5) / 3));

  // Below one half a second detection can match an object that is already taken: a false positive.
  const Labels one = boxes(2, 4, {{0, 2, 0, 4}}), two = boxes(2, 4, {{0, 2, 0, 2}, {0, 2, 2, 4}});
  CHECK(*voc2010(score(overlap(one, two), std::vector<double>{0.1, 0.2}), 0.4) == 1);
  const Labels three = boxes(2, 8, {{0, 2, 0, 4}, {0, 2, 4, 8}});
  const Labels cut = boxes(2, 8, {{0, 2, 0, 2}, {0, 2, 2, 4}, {0, 2, 4, 8}});
  CHECK(*voc2010(score(overlap(three, cut), std::vector<double>{0.9, 0.8, 0.7}), 0.4) == near((1 + 2 / 3.0) / 2));

  // Pooled: one ranking over images, whose objects remain distinct.
  const ImageScore first = score(overlap(one, one), std::vector<double>{0.3});
  const ImageScore second = score(overlap(one, boxes(2, 4, {{0, 1, 0, 1}})), std::vector<double>{0.9});
  CHECK(*voc2010(pool(std::vector<ImageScore>{first, second, first}), 0.5) == near((2 / 3.0 + 2 / 3.0) / 3));
  // Equal confidences keep the order of the images.
  std::vector<ImageScore> equal(20, score(overlap(one, one), std::vector<double>{0.5}));
  equal.resize(40, score(overlap(one, boxes(2, 4, {{0, 1, 0, 1}})), std::vector<double>{0.5}));
  CHECK(*voc2010(pool(equal), 0.5) == 0.5);
  CHECK(!voc2010(score(one, one), 0.5));
  CHECK(!voc2010(score(overlap(nothing, nothing)), 0.5));
  CHECK_THROWS_AS(score(overlap(one, two), std::vector<double>{0.1}), Error);
  CHECK_THROWS_AS(score(overlap(one, one), std::vector<double>{std::nan("")}), Error);
}

TEST_CASE("metrics: full names state dialect, aggregation and threshold rule") {
  const std::vector<Metric> all = metrics(Dialect::stardist), strict = metrics(Dialect::dsb2018);
  CHECK(full_name(named(all, "AP50"), Aggregation::mean) == "AP50 (stardist, per-image mean, >=)");
  CHECK(full_name(named(strict, "AP75"), Aggregation::pooled) == "AP75 (dsb2018, pooled, >)");
  CHECK(full_name(named(all, "AJI"), Aggregation::mean) == "AJI (per-image mean)");
  CHECK(full_name(named(all, "PQ"), Aggregation::pooled) == "PQ (pooled, IoU > .5)");
  const std::vector<Metric> most = metrics(Dialect::cellpose, {.confidences = true, .planes = true});
  CHECK(full_name(named(most, "AP50"), Aggregation::mean) == "AP50 (cellpose, per-image mean, >=, planes many to one)");
  CHECK(full_name(named(most, "VOC_box_AP75"), Aggregation::pooled) == "VOC_box_AP75 (pooled, VOC2010 of boxes, >=)");
  CHECK(full_name(named(most, "VOC_box_AP50:95"), Aggregation::pooled) ==
        "VOC_box_AP50:95 (pooled, mean of .50:.05:.95, VOC2010 of boxes, >=)");
  for (size_t k = 0; k < all.size(); ++k)
    for (size_t j = 0; j < k; ++j)
      CHECK(all[k].key != all[j].key);
}

TEST_CASE("metrics: 20,000 touching objects are scored correctly; prints the time") {
  // Bricks of 10 x 10 against the same shifted by (3, 2): every object touches four, all in one component.
  const int rows = 100, columns = 200, side = 10;
  Labels truth{rows * side, columns * side, rows * columns, {}}, prediction = truth;
  for (int y = 0; y < rows * side; ++y)
    for (int x = 0; x < columns * side; ++x) {
      truth.ids.push_back(y / side * columns + x / side + 1);
      prediction.ids.push_back(std::min(rows - 1, (y + 3) / side) * columns + std::min(columns - 1, (x + 2) / side) +
                               1);
    }
  const auto start = std::chrono::steady_clock::now();
  const ImageScore s = score(truth, prediction);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE("scored in ", 1000 * seconds, " ms");
  CHECK(value("count_MAE", s) == 0);
  CHECK(value("AJI+", s) > 0.3);
  CHECK(seconds < 20);
}

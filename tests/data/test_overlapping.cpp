#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <random>

#include "data/arrays/npy.h"
#include "data/dataset/dataset.h"
#include "data/dataset/fill_holes.h"
#include "data/metrics/metrics.h"
#include "data/objects/write_stack.h"
#include "kernels/runtime/platform.h"
#include "tests/support/file_support.h"
#include "tests/support/mask_support.h"
#include "tests/support/score_support.h"

using namespace basin;
using namespace basin::test;

TEST_CASE("overlap: boxes of objects, and box IoU, which leaves out the last column and row") {
  // 1 1 0 0 2
  // 0 1 0 2 2
  // 0 0 0 2 2
  const Labels labels{3, 5, 2, {1, 1, 0, 0, 2, 0, 1, 0, 2, 2, 0, 0, 0, 2, 2}};
  const Overlap table = overlap(labels, labels);
  const auto is = [](const Box& b, int left, int top, int right, int bottom) {
    return b.left == left && b.top == top && b.right == right && b.bottom == bottom;
  };
  CHECK(is(table.truth_box[1], 0, 0, 1, 1));
  CHECK(is(table.truth_box[2], 3, 0, 4, 2));
  CHECK(is(table.prediction_box[2], 3, 0, 4, 2));
  // Pixels that go on in the next row.
  CHECK(is(overlap(Labels{2, 3, 1, {0, 0, 1, 1, 0, 0}}, Labels{2, 3, 0, {0, 0, 0, 0, 0, 0}}).truth_box[1], 0, 0, 2, 1));
  CHECK(box_iou({0, 0, 4, 4}, {2, 0, 6, 4}) == near(8 / 24.0));
  CHECK(box_iou({0, 0, 4, 4}, {4, 0, 8, 4}) == 0);
  CHECK(box_iou({0, 0, 0, 4}, {0, 0, 0, 4}) == 0);  // one column has no area
  CHECK(box_iou({0, 0, 4, 4}, {1, 1, 3, 3}) == near(4 / 16.0));
}

TEST_CASE("boxes: the best match equals an exhaustive search") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Labels truth = random_blocks(60, 50, 7, 0.9, seed), prediction = random_blocks(60, 50, 6, 0.9, seed + 40);
    const Overlap table = overlap(truth, prediction);
    const std::vector<Box> truths(table.truth_box.begin() + 1, table.truth_box.end()),
        predictions(table.prediction_box.begin() + 1, table.prediction_box.end());
    const std::vector<BestBox> best = best_boxes(truths, predictions);
    REQUIRE(best.size() == predictions.size());
    for (size_t j = 0; j < best.size(); ++j) {
      BestBox want;
      for (size_t i = 0; i < truths.size(); ++i)
        if (const double iou = box_iou(truths[i], predictions[j]); iou > want.iou) want = {int64_t(i), iou};
      CHECK(best[j].index == want.index);
      CHECK(best[j].iou == want.iou);
    }
  }
}

TEST_CASE("metrics: an IoU equal to the threshold counts in VOC2010 of boxes but not of masks") {
  // Masks and boxes of 5 x 5 and 5 x 3 pixels: mask IoU 15 / 25, box IoU 4 * 2 / (4 * 4), exactly one half.
  const Labels truth = boxes(8, 16, {{0, 5, 0, 5}, {0, 5, 8, 13}});
  const Labels prediction = boxes(8, 16, {{0, 3, 0, 5}, {5, 8, 0, 5}, {0, 5, 8, 13}});
  const ImageScore s = score(overlap(truth, prediction), std::vector<double>{0.9, 0.8, 0.7});
  CHECK(*voc2010_boxes(s, 0.5) == near((1 + 2 / 3.0) / 2));
  CHECK(*voc2010_boxes(s, 0.51) == near((1 / 3.0) / 2));
  CHECK(*voc2010(s, 0.5) == near((1 + 2 / 3.0) / 2));
  CHECK(*voc2010(s, 0.6) == near((1 / 3.0) / 2));  // 15 / 25 does not exceed .6
  CHECK(value("VOC_box_AP50", s) == *voc2010_boxes(s, 0.5));
  CHECK(value("VOC_box_AP50:95", s) == near((1 + 2 / 3.0) / 2 / 10 + 9 * (1 / 3.0) / 2 / 10));
  // When images are pooled, their objects remain distinct.
  CHECK(*voc2010_boxes(pool(std::vector<ImageScore>{s, s}), 0.5) == near((2 * 1 + 2 * (4 / 6.0)) / 4));
  CHECK(!voc2010_boxes(score(truth, truth), 0.5));
  // A frame around an object has the same box as a filled one.
  Labels frame = truth;
  for (int y = 1; y < 4; ++y)
    for (int x = 1; x < 4; ++x)
      frame.ids[size_t(y * 16 + x)] = 0;
  const ImageScore hollow = score(overlap(truth, frame), std::vector<double>{0.9, 0.8});
  CHECK(value("VOC_box_AP95", hollow) == 1);
  CHECK(value("VOC_AP95", hollow) == near(0.5 / 2));
}

TEST_CASE("planes: scores of true objects that share pixels") {
  // Two worms that cross: row 3 and column 3 of 7 x 7.
  const auto line = [](bool row) {
    std::vector<Planes::Run> runs;
    for (int k = 0; k < 7; ++k)
      runs.push_back(row ? Planes::Run{21 + k, 22 + k} : Planes::Run{7 * k + 3, 7 * k + 4});
    return runs;
  };
  const Planes cross{7, 7, {line(true), line(false)}};
  CHECK(share_pixels(cross));
  const Labels flat = flatten(cross);
  CHECK(flat.count == 2);
  CHECK(flat(3, 3) == 1);
  const Overlap table = overlap(cross, flat);
  CHECK(table.from_planes);
  CHECK(table.truth_area == std::vector<int64_t>{36, 7, 7});
  CHECK(table.prediction_area == std::vector<int64_t>{36, 7, 6});
  CHECK(table.truth_pixels == 13);
  CHECK(table.common_pixels == 13);
  REQUIRE(table.pairs.size() == 3);
  CHECK(table.pairs[1].truth == 2);
  CHECK(table.pairs[1].prediction == 1);
  CHECK(table.pairs[1].pixels == 1);
  CHECK(table.pairs[2].iou == 6 / 7.0);
  CHECK((table.truth_box[2].left == 3 && table.truth_box[2].bottom == 6));
  const ImageScore s = score(table);
  CHECK(value("AP50", s) == 1);
  CHECK(value("AP85", s) == 1);
  CHECK(value("AP90", s) == near(1 / 3.0));
  CHECK(value("semantic_IoU", s) == 1);
  CHECK(value("SEG", s) == near((1 + 6 / 7.0) / 2));
  CHECK(value("PQ", s) == near((1 + 6 / 7.0) / 2));

  // Nearly identical true objects and one prediction, which matches them all, as in EmbedSeg; and one prediction
  // without a match.
  const Planes twice{1, 8, {{{0, 4}}, {{0, 5}}, {{0, 4}}}};
  const ImageScore many = score(overlap(twice, boxes(1, 8, {{0, 1, 0, 4}, {0, 1, 6, 8}})));
  const auto is = [&](double t, Dialect dialect, int64_t tp, int64_t fp, int64_t fn) {
    const Counts n = counts(many, t, dialect);
    CHECK(n.true_positive == tp);
    CHECK(n.false_positive == fp);
    CHECK(n.false_negative == fn);
  };
  is(0.5, Dialect::stardist, 3, 1, 0);
  is(0.8, Dialect::stardist, 3, 1, 0);
  is(0.8, Dialect::dsb2018, 2, 1, 1);  // 4 / 5 does not exceed .8
  is(0.8, Dialect::torchvf, 1, 1, 1);  // counts matched predictions, not true objects
  CHECK(value("AP50", many) == 0.75);
  // When pooled with a label image, each image keeps its own matching rule.
  const ImageScore both = pool(std::vector<ImageScore>{many, score(true_a, predicted_a)});
  CHECK(counts(both, 0.5, Dialect::stardist).true_positive == 3 + 3);
  CHECK(counts(both, 0.5, Dialect::stardist).false_positive == 1 + 1);
  CHECK(counts(both, 0.75, Dialect::stardist).false_negative == 0 + 1);
  // Without predictions, and without true objects.
  CHECK(value("AP50", score(overlap(cross, boxes(7, 7, {})))) == 0);
  const ImageScore invented = score(overlap(Planes{7, 7, {}}, flat));
  CHECK(counts(invented, 0.5, Dialect::stardist).false_positive == 2);
  CHECK_THROWS_AS(overlap(cross, boxes(7, 8, {})), Error);
}

TEST_CASE("planes: planes made from a label image score the same as the label image") {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Labels truth = random_blocks(40, 30, 5, 0.8, seed), prediction = random_blocks(40, 30, 5, 0.8, seed + 60);
    const Planes planes = masks_of(truth), predicted = masks_of(prediction);
    CHECK(!share_pixels(planes));
    CHECK(flatten(planes).ids == truth.ids);
    const ImageScore s = score(overlap(truth, prediction));
    for (const ImageScore& t :
         {score(overlap(planes, prediction)), score(overlap(truth, predicted)), score(overlap(planes, predicted))})
      for (const Metric& m : metrics(Dialect::dsb2018))
        CHECK_MESSAGE(m.value(s) == m.value(t), m.key);
  }
}

namespace {

/// Rectangles that may share pixels.
Planes random_planes(int height, int width, int objects, unsigned seed) {
  std::mt19937 rng(seed);
  Planes planes{height, width, {}};
  for (int k = 0; k < objects; ++k) {
    const int y0 = int(rng() % unsigned(height)), x0 = int(rng() % unsigned(width));
    const int y1 = std::min(height, y0 + 1 + int(rng() % 9)), x1 = std::min(width, x0 + 1 + int(rng() % 9));
    std::vector<Planes::Run>& runs = planes.objects.emplace_back();
    for (int y = y0; y < y1; ++y)
      append_run(runs, int64_t(y) * width + x0, int64_t(y) * width + x1);
  }
  return planes;
}

std::vector<bool> pixels_of(const Planes& planes, size_t object) {
  std::vector<bool> inside(size_t(planes.height) * size_t(planes.width), false);
  for (const Planes::Run& run : planes.objects[object])
    for (int64_t i = run.begin; i < run.end; ++i)
      inside[size_t(i)] = true;
  return inside;
}

}  // namespace

TEST_CASE("planes: the overlap of masks that share pixels equals counting their pixels") {
  for (unsigned seed = 0; seed < 10; ++seed) {
    const Planes truth = random_planes(30, 20, 25, seed), prediction = random_planes(30, 20, 30, seed + 100);
    const Overlap table = overlap(truth, prediction);
    CHECK(!table.from_planes);  // matched one to one
    std::vector<bool> any_true(600, false), any_predicted(600, false);
    auto next = table.pairs.begin();
    for (size_t i = 0; i < truth.objects.size(); ++i) {
      const std::vector<bool> a = pixels_of(truth, i);
      CHECK(table.truth_area[i + 1] == std::count(a.begin(), a.end(), true));
      for (size_t p = 0; p < 600; ++p)
        if (a[p]) any_true[p] = true;
      for (size_t j = 0; j < prediction.objects.size(); ++j) {
        const std::vector<bool> b = pixels_of(prediction, j);
        int64_t common = 0, either = 0;
        for (size_t p = 0; p < 600; ++p) {
          common += a[p] && b[p], either += a[p] || b[p];
          if (b[p]) any_predicted[p] = true;
        }
        if (common == 0) continue;
        REQUIRE(next != table.pairs.end());
        CHECK((next->truth == int32_t(i) + 1 && next->prediction == int32_t(j) + 1));
        CHECK(next->pixels == common);
        CHECK(next->iou == double(common) / double(either));
        ++next;
      }
    }
    CHECK(next == table.pairs.end());
    int64_t common = 0;
    for (size_t p = 0; p < 600; ++p)
      common += any_true[p] && any_predicted[p];
    CHECK(table.truth_pixels == std::count(any_true.begin(), any_true.end(), true));
    CHECK(table.prediction_pixels == std::count(any_predicted.begin(), any_predicted.end(), true));
    CHECK(table.common_pixels == common);
  }
  // Two predictions that share pixels and one true object, which only the better one matches.
  const Planes twice{1, 8, {{{0, 4}}, {{0, 3}}}};
  const Counts n = counts(score(overlap(boxes(1, 8, {{0, 1, 0, 4}}), twice)), 0.5, Dialect::stardist);
  CHECK((n.true_positive == 1 && n.false_positive == 1 && n.false_negative == 0));
  CHECK_THROWS_AS(overlap(twice, Planes{1, 9, {{{0, 4}}}}), Error);
}

TEST_CASE("planes: where masks overlap on both sides, no score exceeds 1, and masks equal to the truth have 1") {
  const std::vector<Metric> known = metrics(Dialect::stardist);
  const auto is_quotient = [](const Metric& m) { return m.pools && m.key != "count_MAE"; };
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Planes truth = random_planes(20, 20, 15, seed), found = random_planes(20, 20, 25, seed + 50);
    const Labels flat = flatten(truth);
    for (const ImageScore& s : {score(overlap(truth, found)), score(overlap(flat, found)), score(overlap(found, flat))})
      for (const Metric& m : known)
        if (is_quotient(m) && m.value(s)) CHECK_MESSAGE(*m.value(s) <= 1, m.key);
    Planes different = truth;  // of two equal masks, only one can be found
    std::sort(different.objects.begin(), different.objects.end(), [](const auto& a, const auto& b) {
      return a.front().begin < b.front().begin || (a.front().begin == b.front().begin && a.back().end < b.back().end);
    });
    different.objects.erase(std::unique(different.objects.begin(), different.objects.end()), different.objects.end());
    const ImageScore same = score(overlap(different, different));
    for (const Metric& m : known)  // Dice2 counts every pair that shares a pixel
      if (is_quotient(m) && m.key != "Dice2" && m.value(same)) CHECK_MESSAGE(*m.value(same) == near(1), m.key);
  }
  // Two masks that each cover most of one object: the better one detects it, the other one is spurious.
  const Planes twice{1, 10, {{{0, 7}}, {{2, 10}}}};
  const ImageScore s = score(overlap(boxes(1, 10, {{0, 1, 0, 10}}), twice));
  CHECK(value("SEG", s) == near(0.8));
  CHECK(value("DET", s) == near(1 - 1 / 10.0));
}

TEST_CASE("labels: resizing takes the pixel nearest to each centre, exactly at every size") {
  for (int in = 1; in <= 40; in += 3) {
    Labels labels{1, in, in, std::vector<int32_t>(size_t(in))};
    std::iota(labels.ids.begin(), labels.ids.end(), 1);
    for (int out = 1; out <= 40; ++out) {
      std::vector<int32_t> kept;
      const Labels got = resized(labels, 2, out, &kept);
      int wrong = 0;
      for (int d = 0; d < out; ++d)
        wrong += kept[size_t(got(1, d)) - 1] != 1 + (2 * d + 1) * in / (2 * out);
      REQUIRE(wrong == 0);
    }
  }
}

TEST_CASE("planes: masks are resized and filled one by one") {
  for (unsigned seed = 0; seed < 6; ++seed) {
    const Planes planes = random_planes(23, 17, 12, seed);
    for (const auto& [height, width] : std::vector<std::pair<int, int>>{{23, 17}, {9, 31}, {50, 5}, {40, 40}}) {
      const Planes small = resized(planes, height, width);
      REQUIRE(small.objects.size() == planes.objects.size());
      for (size_t k = 0; k < planes.objects.size(); ++k) {
        const Planes one = masks_of(resized(flatten(Planes{23, 17, {planes.objects[k]}}), height, width));
        CHECK(small.objects[k] == (one.objects.empty() ? std::vector<Planes::Run>() : one.objects[0]));
      }
    }
  }
  // Two frames of 5 x 5 pixels in an image of 7 x 9, which share two pixels.
  const auto frame = [](int y0, int x0) {
    std::vector<Planes::Run> runs;
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 5; ++x)
        if (y == 0 || x == 0 || y == 4 || x == 4) append_run(runs, (y0 + y) * 9 + x0 + x, (y0 + y) * 9 + x0 + x + 1);
    return runs;
  };
  const Planes filled = fill_holes(Planes{7, 9, {frame(0, 0), frame(2, 3)}});
  std::vector<Planes::Run> square;
  for (int y = 2; y < 7; ++y)
    square.push_back({y * 9 + 3, y * 9 + 8});
  CHECK(filled.objects[1] == square);
  CHECK(selected(filled, {2}).objects == std::vector<std::vector<Planes::Run>>{square});
}

TEST_CASE("planes: a file of instances is read back, also without objects, with one, and with runs of several rows") {
  const Folder f;
  for (const int objects : {2, 40}) {
    const Planes planes = random_planes(30, 20, objects, 7);
    write_instances(f / "a_instances.tif", planes, {});
    CHECK(read_stack(f / "a_instances.tif")->objects == planes.objects);
  }
  const Planes rows{3, 4, {{{0, 12}}, {{2, 9}, {11, 12}}}};
  write_instances(f / "rows.tif", rows, {});
  CHECK(read_stack(f / "rows.tif")->objects == rows.objects);
  const Pair pair = find_labels(f / "a_instances.tif").at("a");
  CHECK(std::get<Planes>(read_pair_objects(pair)).objects.size() == 40);
  write_instances(f / "none.tif", Planes{3, 4, {}}, {});
  CHECK(read_labels(f / "none.tif").count == 0);
  write_instances(f / "one.tif", Planes{3, 4, {{{1, 3}}}}, {});
  CHECK(read_labels(f / "one.tif").ids == std::vector<int32_t>{0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(role_by_name(f / "a_instances.tif") == "a result");
  CHECK(contains(refusal([&] { read_pair_labels(pair); }), "a_instances.tif: has a mask for each object"));
  // In a folder, beside pictures that are not labels; label images are preferred.
  const Folder out;
  write_instances(out / "a_instances.tif", rows, {});
  write_png(out / "a.png", Image{3, 4, 1, PixelType::u8, std::vector<std::byte>(12)});
  const auto found = [&] { return find_labels(out.path()).at("a").masks[0].filename().string(); };
  CHECK(found() == "a_instances.tif");
  CHECK(find_labels(out.path()).size() == 1);
  write_labels(out / "a_masks.png", flatten(Planes{3, 4, {{{1, 3}}}}));
  CHECK(found() == "a_masks.png");
  // An image and a label image that happen to have such a name.
  const Folder pairs;
  write_png(pairs / "images/a_instances.png", Image{3, 4, 1, PixelType::u8, std::vector<std::byte>(12)});
  write_labels(pairs / "masks/a_instances.png", flatten(Planes{3, 4, {{{1, 3}}}}));
  CHECK(find_pairs(pairs.path())[0].stem == "a_instances");
}

TEST_CASE("metrics: the mean over subsets gives each subset the same weight") {
  const std::vector<ImageScore> all = {score(true_a, predicted_a), score(true_d, nothing), score(square, square)};
  const std::vector<Metric> known = metrics(Dialect::stardist);
  const std::vector<size_t> sizes = {2, 1};
  CHECK(*aggregate(named(known, "AP50"), Aggregation::mean_of_subsets, all, sizes) == near((0.75 / 2 + 1) / 2));
  CHECK(*aggregate(named(known, "DiC"), Aggregation::mean_of_subsets, all, sizes) == near((-0.5 + 0) / 2));
  CHECK(full_name(named(known, "SBD"), Aggregation::mean_of_subsets) ==
        "SBD (mean of subsets' means, symmetric best Dice)");
}

TEST_CASE("planes: each image of a mask stack is read as one object") {
  const Folder f;
  // Objects of 2 and 1 pixels that share one; the second plane is empty.
  const uint16_t stack[] = {0, 9, 9, 0, 0, 0,  //
                            0, 0, 0, 0, 0, 0,  //
                            0, 0, 1, 0, 0, 0};
  write_npy(f / "s.npy", {3, 2, 3}, stack);
  const std::optional<Planes> planes = read_stack(f / "s.npy");
  REQUIRE(planes);
  CHECK(planes->height == 2);
  CHECK(planes->width == 3);
  REQUIRE(planes->objects.size() == 2);
  REQUIRE(planes->objects[0].size() == 1);
  CHECK((planes->objects[0][0].begin == 1 && planes->objects[0][0].end == 3));
  CHECK((planes->objects[1][0].begin == 2 && planes->objects[1][0].end == 3));
  CHECK(share_pixels(*planes));

  // The same three images as a TIFF stack written by tifffile.
  const std::optional<Planes> tiff = read_stack(samples / "masks_stack.tif");
  REQUIRE(tiff);
  CHECK((tiff->height == 2 && tiff->width == 3));
  REQUIRE(tiff->objects.size() == 2);
  CHECK((tiff->objects[0][0].begin == 1 && tiff->objects[0][0].end == 3));
  CHECK((tiff->objects[1][0].begin == 2 && tiff->objects[1][0].end == 3));

  // Two boolean arrays as tifffile writes them: marked as 0 = white, but not inverted.
  const std::optional<Planes> booleans = read_stack(samples / "bool_stack.tif");
  REQUIRE(booleans);
  CHECK(booleans->objects ==
        std::vector<std::vector<Planes::Run>>{{{11, 14}, {20, 23}}, {{22, 26}, {31, 35}, {40, 44}}});
  const int16_t negative[] = {0, -9, -9, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  write_npy(f / "negative.npy", {2, 2, 3}, negative);
  CHECK(contains(refusal([&] { read_stack(f / "negative.npy"); }), "negative.npy: image 1 contains -9; the mask"));
  const float nan[] = {0, NAN, 0, 0};
  write_npy(f / "nan.npy", {1, 2, 2}, nan);
  CHECK(contains(refusal([&] { read_stack(f / "nan.npy"); }), "nan.npy: image 1 contains nan; the mask"));
  write_npy(f / "one.npy", {2, 3}, stack);
  CHECK(!read_stack(f / "one.npy"));
  CHECK(!read_stack(samples / "u8_strips.tif"));
  CHECK(!read_stack(samples / "u8.png"));
  write_bytes(f / "png.tif", read_bytes(samples / "u8.png"));
  CHECK(!read_stack(f / "png.tif"));
  CHECK(contains(refusal([&] { read_stack(samples / "stack.tif"); }), "stack.tif: image 1 contains several numbers"));
  write_npy(f / "flat.npy", {3, 0, 3}, stack);
  CHECK(contains(refusal([&] { read_stack(f / "flat.npy"); }), "flat.npy: is not a stack of masks"));
  write_bytes(f / "cut.tif", read_bytes(samples / "masks_stack.tif").substr(0, 100));
  CHECK(contains(refusal([&] { read_stack(f / "cut.tif"); }), "cut.tif: "));
}

TEST_CASE("planes: overlapping masks of a DSB folder are kept as planes") {
  const Folder f;
  const auto put = [&](const std::string& name, const std::vector<size_t>& pixels) { put_mask(f, name, pixels); };
  put("n/images/n.png", {}), put("n/masks/a.png", {0, 1}), put("n/masks/b.png", {2, 5}), put("n/masks/c.png", {});
  const Pair apart = find_pairs(f.path())[0];
  const Objects labels = read_pair_objects(apart);
  REQUIRE(std::holds_alternative<Labels>(labels));
  CHECK(std::get<Labels>(labels).ids == std::vector<int32_t>{1, 1, 2, 0, 0, 2});
  put("n/masks/c.png", {1, 4});
  const Pair crossing = find_pairs(f.path())[0];
  const Objects planes = read_pair_objects(crossing);
  REQUIRE(std::holds_alternative<Planes>(planes));
  CHECK(std::get<Planes>(planes).objects.size() == 3);
  CHECK(read_pair_labels(crossing).ids == std::vector<int32_t>{1, 1, 2, 0, 3, 2});  // the first mask wins
}

TEST_CASE("planes: masks of a DSB folder that are left out or lost are reported") {
  const Folder f;
  const auto put = [&](const std::string& name, const std::vector<size_t>& pixels, int value = 255) {
    put_mask(f, name, pixels, value);
  };
  put("n/images/n.png", {}), put("n/masks/a.png", {0, 1}), put("n/masks/b.png", {2, 5}),
      put("n/masks/c.png", {0, 1}, 7);
  const Pair pair = find_pairs(f.path())[0];
  const std::vector<std::string> repeated{"1 of its masks, c.png, is identical to another one and left out"};
  CHECK(read_pair_labels(pair).notes == repeated);
  CHECK(read_pair_labels(pair, 2, 3).notes == repeated);
  const Objects once = read_pair_objects(pair);
  REQUIRE(std::holds_alternative<Labels>(once));  // no two objects share a pixel
  CHECK(std::get<Labels>(once).ids == std::vector<int32_t>{1, 1, 2, 0, 0, 2});
  CHECK(std::get<Labels>(once).notes == repeated);
  // Under two others together; and without a pixel.
  put("n/masks/c.png", {1, 2}), put("n/masks/d.png", {}), put("n/masks/e.png", {});
  const Pair more = find_pairs(f.path())[0];
  CHECK(read_pair_labels(more).notes ==
        std::vector<std::string>{"2 of its masks, such as d.png, are empty",
                                 "1 of its masks, c.png, is completely covered by earlier ones and lost"});
  const Objects planes = read_pair_objects(more);
  REQUIRE(std::holds_alternative<Planes>(planes));
  CHECK(std::get<Planes>(planes).objects.size() == 3);
}

TEST_CASE("planes: training reads a stack of masks, and refuses a stack of label images as before") {
  const Folder f;
  write_png(f / "x_img.png", Image{2, 3, 1, PixelType::u8, std::vector<std::byte>(6)});
  const auto put = [&](const Planes& planes) { write_instances(f / "x_masks.tif", planes, {}); };
  const auto read = [&](int layers) { return read_training_labels(find_pairs(f.path())[0], 2, 3, layers); };
  put({2, 3, {{{0, 2}}, {{1, 3}}, {{1, 2}}, {{5, 6}}}});
  const TrainingLabels flat = read(1);
  CHECK(flat.flat.ids == std::vector<int32_t>{1, 1, 2, 0, 0, 3});
  CHECK(flat.layers_needed == 3);
  CHECK(!flat.layers);
  CHECK(flat.flat.notes ==
        std::vector<std::string>{"1 of its masks, x_masks.tif: image 3, is completely covered by earlier ones "
                                 "and lost"});
  const TrainingLabels whole = read(3);
  REQUIRE(whole.layers);
  CHECK(whole.layers->ids == std::vector<int32_t>{1, 1, 0, 0, 0, 4, 0, 2, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0});
  CHECK(whole.flat.notes.empty());
  // An image without an object, and one that repeats another one.
  const uint8_t repeated[] = {0, 0, 0, 0, 0, 0, 7, 7, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  std::filesystem::remove(f / "x_masks.tif");
  write_npy(f / "x_masks.npy", {4, 2, 3}, repeated);
  CHECK(read(2).flat.ids == std::vector<int32_t>{1, 1, 0, 0, 0, 2});
  CHECK(read(2).flat.notes ==
        std::vector<std::string>{"1 of its masks, x_masks.npy: image 3, is identical to another one and left out"});
  std::filesystem::remove(f / "x_masks.npy");
  put({3, 3, {{{0, 2}}, {{1, 3}}}});
  CHECK(contains(refusal([&] { read(1); }), "x_masks.tif: is 3 x 3 pixels, but its image x_img.png is 3 x 2"));
  const int32_t labels[] = {1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};
  std::filesystem::remove(f / "x_masks.tif");
  write_npy(f / "x_masks.npy", {2, 2, 3}, labels);
  const std::string neither = refusal([&] { read(1); });
  CHECK(contains(neither, "x_masks.npy: is not a label image"));
  CHECK(contains(neither, "x_masks.npy: image 1 contains several numbers, such as 1 and 2"));
}

#include <algorithm>
#include <cmath>

#include "data/metrics/metrics.h"
#include "models/methods/object_guided_decoding.h"
#include "tests/support/field_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// The regions of these boxes in a frame, each with a constant mask.
ScoredMasks paste(const std::vector<ScoredBox>& boxes, float value, int side, const ObjectGuidedDecoding& o, int height,
                  int width) {
  const Exec cpu;
  std::vector<RoiBox> all;
  for (const ScoredBox& b : boxes)
    all.push_back(b.box);
  const RoiList regions = roi_list(cpu, all, 0);
  return decode_masks(boxes, regions, std::vector<float>(size_t(regions.points), value),
                      GuidedFrame::filled(side, side), height, width, o);
}

}  // namespace

TEST_CASE("object-guided: objects are reduced to their largest pieces, and small ones are dropped") {
  const GuidedObjects o =
      guided_objects(labels_of(grid({"1111.22222", "1111.22222", "1111.22222", "1111......", "....11.333", "....11.333",
                                     "4444...333", "4444...333", "4444......", "4444.11111"})));
  CHECK(o.pieces.count == 2);  // 2 has only three rows, 3 only three columns
  CHECK(o.pieces(0, 0) == 1);
  CHECK(o.pieces(4, 4) == 0);
  CHECK(o.pieces(9, 9) == 0);
  CHECK(o.pieces(0, 5) == 0);
  CHECK(o.pieces(4, 7) == 0);
  CHECK(o.pieces(6, 0) == 2);
  CHECK(o.boxes[1].x == 1.5);
  CHECK(o.boxes[1].y == 7.5);
  CHECK(o.boxes[1].width == 4);
  CHECK(o.boxes[1].height == 4);
  CHECK(guided_objects(labels_of(grid({"...", "..."}))).boxes.empty());
  // Pieces are 4-connected; of equally large pieces the first is kept.
  const GuidedObjects two = guided_objects(labels_of(
      grid({"1111....", "1111....", "1111....", "1111....", "....1111", "....1111", "....1111", "....1111"})));
  CHECK(two.pieces(0, 0) == 1);
  CHECK(two.pieces(4, 4) == 0);
}

TEST_CASE("object-guided: boxes are decoded from the peaks of the centre map") {
  const auto z = [](double p) { return float(std::log(p / (1 - p))); };
  for (const Exec& exec : execs()) {
    const Tensor heat = Tensor::from<float>(
        exec, {1, 2, 6}, {z(.9), z(.8), z(.1), z(.1), z(.5), z(.5), z(.1), z(.1), z(.29), z(.1), z(.1), z(.1)});
    std::vector<float> size(24, 3), offset(24, .25f);
    size[0] = 2, size[12] = 5;
    const Tensor sizes = Tensor::from(exec, {2, 2, 6}, size), offsets = Tensor::from(exec, {2, 2, 6}, offset);
    ObjectGuidedDecoding o;
    std::vector<ScoredBox> boxes = decode_boxes(exec, heat, sizes, offsets, o);
    REQUIRE(boxes.size() == 3);  // both pixels of a plateau count
    CHECK(boxes[0].score == doctest::Approx(.9));
    CHECK(boxes[0].box.x == 1);
    CHECK(boxes[0].box.y == 1);
    CHECK(boxes[0].box.width == 8);
    CHECK(boxes[0].box.height == 20);
    CHECK(boxes[1].box.x == 17);
    CHECK(boxes[2].box.x == 21);
    o.confidence = .6;
    CHECK(decode_boxes(exec, heat, sizes, offsets, o).size() == 1);
    o.confidence = .2;
    o.max_objects = 2;
    CHECK(decode_boxes(exec, heat, sizes, offsets, o).size() == 2);
    size[0] = NAN;  // an unusable box does not count as one of the boxes that are kept
    CHECK(decode_boxes(exec, heat, Tensor::from(exec, {2, 2, 6}, size), offsets, o).size() == 2);
    size[4] = -1, size[5] = 1e9f;
    CHECK(decode_boxes(exec, heat, Tensor::from(exec, {2, 2, 6}, size), offsets, {}).empty());
  }
}

TEST_CASE("object-guided: normalised and published votes of overlapping samples, by hand") {
  ObjectGuidedDecoding normalised, published;
  published.votes = ObjectGuidedDecoding::Votes::published;
  // A box of 20 px with a margin of .1 has 22 points from 9.0 to 31.0, with a spacing of 22 / 21.
  const std::vector<ScoredBox> box{{{0, 20, 20, 20, 20}, .7}};
  const ScoredMasks all = paste(box, 1, 64, normalised, 64, 64), most = paste(box, .56f, 64, published, 64, 64);
  REQUIRE(all.objects.size() == 1);
  CHECK(all.objects[0].x == 9);
  CHECK(all.objects[0].width == 23);
  CHECK(all.objects[0].area == 23 * 23);
  CHECK(all.objects[0].score == .7);
  // The weights inside are about 1 / 1.0476^2 = .91, so that some votes of .56 stay below .53.
  REQUIRE(most.objects.size() == 1);
  CHECK(most.objects[0].area < 23 * 23 / 2);
  CHECK(paste(box, .56f, 64, normalised, 64, 64).objects[0].area == 23 * 23);
  CHECK(paste(box, .49f, 64, normalised, 64, 64).objects.empty());
  // Objects are cut at the frame's border; the frame of 64 px is resized to 32 x 128.
  const ScoredMasks cut = paste({{{0, 0, 62, 20, 20}, 1}}, 1, 64, normalised, 32, 128);
  REQUIRE(cut.objects.size() == 1);
  CHECK(cut.objects[0].x == 0);
  CHECK(cut.objects[0].width == 24);  // columns 0 to 11 of the frame
  CHECK(cut.objects[0].y + cut.objects[0].height == 32);
  CHECK(paste({{{0, 200, 200, 20, 20}, 1}}, 1, 64, normalised, 64, 64).objects.empty());
  CHECK(paste({}, 1, 64, normalised, 64, 64).objects.empty());
}

TEST_CASE("object-guided: overlapping objects are suppressed, and the best of the others is painted on top") {
  ObjectGuidedDecoding o;
  // Each object is 21 px wide. Shifted by 4 px it has a high IoU with the first, by 18 px a low one.
  const std::vector<ScoredBox> boxes{{{0, 20, 20, 20, 20}, .5}, {{0, 24, 20, 20, 20}, .9}, {{0, 42, 20, 20, 20}, .6}};
  const ScoredMasks found = paste(boxes, 1, 64, o, 64, 64);
  REQUIRE(found.objects.size() == 2);
  CHECK(found.objects[0].score == .9);
  CHECK(found.objects[1].score == .6);
  const PaintedMasks painted = paint(found);
  CHECK(painted.labels.count == 2);
  CHECK(painted.labels(20, 32) == 1);
  CHECK(painted.labels(20, 50) == 2);
  CHECK(painted.scores == std::vector<float>{.9f, .6f});
  CHECK(painted.hidden == 0);
  // The second one keeps its whole mask, of 23 x 23 pixels, of which the first one covers 5 columns.
  REQUIRE(painted.planes.objects.size() == 2);
  int64_t whole = 0;
  const int64_t visible = areas_of(painted.labels)[2];
  for (const Planes::Run& run : painted.planes.objects[1])
    whole += run.end - run.begin;
  CHECK(whole == found.objects[1].area);
  CHECK(whole == 23 * 23);
  CHECK(visible == 23 * 18);
  o.max_overlap = .99;
  CHECK(paste(boxes, 1, 64, o, 64, 64).objects.size() == 3);
  // The second box is completely hidden by the first.
  o.max_overlap = 1;
  const PaintedMasks hidden =
      paint(paste({{{0, 20, 20, 20, 20}, .5}, {{0, 20, 20, 16, 16}, .4}, {{0, 50, 50, 8, 8}, .3}}, 1, 64, o, 64, 64));
  CHECK(hidden.labels.count == 2);
  CHECK(hidden.scores == std::vector<float>{.5f, .3f});
  CHECK(hidden.planes.objects.size() == 2);
  CHECK(hidden.hidden == 1);
}

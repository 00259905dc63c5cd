#include <algorithm>
#include <cstdlib>

#include "data/dataset/dataset.h"
#include "data/synth/synth.h"
#include "models/methods/colour_decoding.h"
#include "models/methods/object_colouring.h"
#include "tests/support/dataset_support.h"
#include "tests/support/score_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// Labels drawn with one character per pixel: the digits are ids.
Labels drawn(const std::vector<std::string>& rows) {
  Labels labels{int(rows.size()), int(rows[0].size()), 0, {}};
  for (const std::string& row : rows)
    for (const char c : row) {
      labels.ids.push_back(c == '.' ? 0 : c - '0');
      labels.count = std::max(labels.count, int(labels.ids.back()));
    }
  return labels;
}

/// Maps in which each pixel's largest channel is its digit.
Tensor maps_of(const Exec& exec, const std::vector<std::string>& rows, int channels) {
  std::vector<float> maps;
  for (int k = 0; k < channels; ++k)
    for (const std::string& row : rows)
      for (const char c : row)
        maps.push_back(c - '0' == k ? .5f : .3f);
  return Tensor::from(exec, {channels, int(rows.size()), int(rows[0].size())}, maps);
}

/// Settings that keep the smallest objects.
const ColourDecoding keep_all{.min_size = 0};

}  // namespace

TEST_CASE("colour decoding: connected components of each colour in raster order, by hand") {
  const std::vector<std::string> colours = {"1003",  //
                                            "1033",  //
                                            "2200",  //
                                            "0012"};
  for (const Exec& exec : execs()) {
    const Tensor maps = maps_of(exec, colours, 4);
    const Labels eight = decode_colours(exec, maps, keep_all);
    CHECK(eight.count == 5);
    CHECK(eight.ids == drawn({"1..2", "1.22", "33..", "..45"}).ids);
    const Labels large = decode_colours(exec, maps, {.min_size = 2});
    CHECK(large.count == 3);
    CHECK(large.ids == drawn({"1..2", "1.22", "33..", "...."}).ids);
    const Labels diagonal =
        decode_colours(exec, maps_of(exec, {"100", "010", "000"}, 2), {.connectivity = 4, .min_size = 0});
    CHECK(diagonal.count == 2);
    CHECK(decode_colours(exec, maps_of(exec, {"100", "010", "000"}, 2), keep_all).count == 1);
    CHECK_THROWS_AS(decode_colours(exec, maps, {.connectivity = 6}), Error);
  }
}

TEST_CASE("colour decoding: ties go to the lowest channel, and an image of one colour is background") {
  for (const Exec& exec : execs()) {
    CHECK(decode_colours(exec, Tensor::zeros(exec, {3, 4, 5}), keep_all).count == 0);
    CHECK(decode_colours(exec, maps_of(exec, {"2"}, 3), keep_all).count == 0);
    // Two equally frequent colours: the lower one is the background.
    CHECK(decode_colours(exec, maps_of(exec, {"12", "12"}, 3), keep_all).ids == std::vector<int32_t>{0, 1, 0, 1});
  }
}

TEST_CASE("colour decoding: the border rule finds the background where an object fills most of the image") {
  const std::vector<std::string> colours = {"0000000", "0222220", "0222220", "0222220", "0000100"};
  for (const Exec& exec : execs()) {
    const Tensor maps = maps_of(exec, {"0000", "0220", "0220", "2220"}, 3);
    const Tensor large = maps_of(exec, {"00001", "02220", "02220", "02220", "12222"}, 3);
    CHECK(decode_colours(exec, maps, keep_all).ids == drawn({"....", ".11.", ".11.", "111."}).ids);
    CHECK(decode_colours(exec, large, keep_all).ids == drawn({"11112", "1...1", "1...1", "1...1", "3...."}).ids);
    const Labels by_border =
        decode_colours(exec, large, {.background = kernels::BackgroundRule::border, .min_size = 0});
    CHECK(by_border.ids == drawn({"....1", ".222.", ".222.", ".222.", "32222"}).ids);
  }
}

TEST_CASE("object colouring: neighbours get different colours wherever there are enough colours") {
  const Labels row = drawn({"1122334455"});  // within 1 pixel the objects form a path; within 10 all are neighbours
  const ObjectGraph path = object_graph(row, 1);
  CHECK(path.edges[0].size() == 1);
  CHECK(path.edges[1].size() == 2);
  CHECK(path.edges[0][0].touching);
  CHECK(colour_conflicts(path, colour_objects(path, 2)).near == 0);
  const ObjectGraph all = object_graph(row, 10);
  CHECK(all.edges[0].size() == 4);
  CHECK_FALSE(all.edges[0][3].touching);
  CHECK(colour_conflicts(all, colour_objects(all, 5)).near == 0);
  const ColourConflicts two = colour_conflicts(all, colour_objects(all, 2));
  CHECK(two.near == 4);  // of five mutually near objects, two share one colour and three the other
  CHECK(two.touching == 0);
  const Labels corner = drawn({"1.", ".2"});
  CHECK(object_graph(corner, 1).edges[0].at(0).touching);
  CHECK(object_graph(drawn({"..", ".."}), 10).edges.empty());
}

TEST_CASE("object colouring: in raster order, objects get the lowest colour that no neighbour has yet") {
  // From the top: 4, 2 beside it, 1 below both, 3 far from all. Their ids do not matter.
  const Labels labels = drawn({"44..22......", "44..22......", "............", "..11.......3"});
  const ObjectGraph graph = object_graph(labels, 3);
  CHECK(colour_in_raster_order(labels, graph, 4) == std::vector<int>{2, 1, 0, 0});
  CHECK(colour_in_raster_order(labels, graph, 2) == std::vector<int>{0, 1, 0, 0});
  CHECK(colour_in_raster_order(labels, graph, 1) == std::vector<int>{0, 0, 0, 0});
  // Both colours are taken around the last object: it gets the one that fewer neighbours have.
  const Labels row = drawn({"1.2.3", "..444"}), far = drawn({"1.2..3", "444444"});
  CHECK(colour_in_raster_order(row, object_graph(row, 2), 2) == std::vector<int>{0, 1, 0, 1});
  CHECK(colour_in_raster_order(far, object_graph(far, 3), 2) == std::vector<int>{0, 1, 0, 1});
  // It touches only the second object, of colour 1. Two conflicts at a distance are better than this one.
  const Labels apart = drawn({"1.2...3", "..444.."});
  CHECK(colour_in_raster_order(apart, object_graph(apart, 2), 2) == std::vector<int>{0, 1, 0, 0});
  CHECK(colour_in_raster_order(drawn({".."}), object_graph(drawn({".."}), 3), 2).empty());
}

TEST_CASE("object colouring: five colours, including the background's, suffice for a dense image") {
  const Labels labels = random_blocks(200, 230, 8, .9, 3);
  REQUIRE(labels.count > 500);
  const ObjectGraph graph = object_graph(labels, 2);
  const std::vector<int> four = colour_objects(graph, 4), three = colour_objects(graph, 3);
  CHECK(*std::max_element(four.begin(), four.end()) == 3);
  CHECK(four == colour_objects(graph, 4));
  const ColourConflicts of_four = colour_conflicts(graph, four), of_three = colour_conflicts(graph, three);
  CHECK(of_four.touching <= of_three.touching);
  CHECK(of_four.touching == 0);
}

TEST_CASE("colour oracle: decoding the oracle's maps recovers the labels") {
  for (const Exec& exec : execs())
    for (const unsigned seed : {1u, 2u, 3u}) {
      const Labels truth = make_synthetic({.size = 160, .seed = seed}, 0).labels;
      REQUIRE(truth.count > 3);
      const Tensor maps = colour_oracle(exec, truth, 5);
      CHECK(maps.shape() == Shape{5, 160, 160});
      const ImageScore s = score(truth, decode_colours(exec, maps, {}));
      CHECK(average_precision(s, .9, Dialect::stardist).value_or(0) > .95);
    }
  CHECK_THROWS_AS(colour_oracle({}, drawn({"1."}), 1), Error);
}

TEST_CASE("colour oracle: scores on images of nuclei, 520 x 696 pixels, resized to 512 x 512") {
  const std::vector<Labels> all = dataset_labels("dsb2018-fluo/train", 520, 696);
  if (all.empty()) return;
  for (const int colours : {4, 5}) {
    std::vector<ImageScore> scores;
    ColourConflicts conflicts;
    for (const Labels& truth : all) {
      const Labels small = resize_nearest(truth, 512, 512);
      const ObjectGraph graph = object_graph(small, 10);
      const ColourConflicts c = colour_conflicts(graph, colour_objects(graph, colours - 1));
      conflicts.near += c.near;
      conflicts.touching += c.touching;
      const Labels got = decode_colours({}, colour_oracle({}, small, colours), {});
      scores.push_back(score(truth, resize_nearest(got, truth.height, truth.width)));
    }
    const OracleScores s = oracle_scores(scores);
    MESSAGE(all.size(), " images, ", colours, " colours: ", describe(s), ", ", conflicts.near, " conflicts, ",
            conflicts.touching, " of objects that touch");
    CHECK(s.ap50 >= .985);
    CHECK(s.aji >= .97);
  }
}

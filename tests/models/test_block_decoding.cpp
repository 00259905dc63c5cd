#include <algorithm>
#include <atomic>
#include <cmath>

#include "data/synth/synth.h"
#include "kernels/cluster/border_points.h"
#include "models/methods/vector_field_blocks.h"
#include "models/methods/vector_fields.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"
#include "tests/support/thread_ranks.h"

using namespace basin;
using namespace basin::test;
using kernels::NoiseRule;

namespace {

Maps part(const Maps& maps, const PixelRect& r) {
  Maps cut;
  for (const auto& [name, map] : maps.tensors) {
    const Tensor to = Tensor::empty({}, {map.dim(0), r.height, r.width});
    for (int c = 0; c < map.dim(0); ++c)
      for (int y = 0; y < r.height; ++y)
        for (int x = 0; x < r.width; ++x)
          to.view<float, 3>()(c, y, x) = map.view<const float, 3>()(c, r.y + y, r.x + x);
    cut.tensors[name] = to;
  }
  return cut;
}

/// The largest magnitude of a component of the field.
float largest_of(const Maps& maps) {
  float largest = 0;
  const Tensor& field = maps["field"];
  for (int64_t i = 0; i < int64_t(2) * field.dim(1) * field.dim(2); ++i)
    largest = std::max(largest, std::abs(field.data<const float>()[i]));
  return largest;
}

/// The labels of an image decoded in blocks, and the extents of its objects.
struct InBlocks {
  Labels labels;
  std::vector<ObjectExtent> extents;
  int windows = 0;  // that maps were read from
};

InBlocks decode_blocks(const Maps& maps, const VectorFieldDecoding& d, int64_t window_pixels) {
  const Folder folder;
  const int height = maps["logit"].dim(1), width = maps["logit"].dim(2);
  PlaneFile clusters(folder / "clusters", 1, height, width, 4), labels(folder / "labels", 1, height, width, 4);
  InBlocks result{{height, width, 0, {}}, {}};
  BlockDecoding image{height, width, window_pixels, largest_of(maps)};
  image.maps = [&](const PixelRect& r) {
    ++result.windows;
    return part(maps, r);
  };
  image.clusters = &clusters, image.labels = &labels;
  result.extents = decode_in_blocks(image, d);
  result.labels.count = int(result.extents.size());
  result.labels.ids.resize(size_t(height) * size_t(width));
  labels.read(0, {0, 0, height, width}, result.labels.ids.data());
  return result;
}

void check_equal(const Maps& maps, const VectorFieldDecoding& d, int64_t window_pixels, bool several = true) {
  const Labels want = decode_in_two_parts({}, maps, d);
  const InBlocks got = decode_blocks(maps, d, window_pixels);
  CHECK(got.labels.count == want.count);
  CHECK(got.labels.ids == want.ids);
  CHECK((got.windows > 2) == several);
  std::vector<ObjectExtent> extents(size_t(want.count));
  for (int y = 0; y < want.height; ++y)
    for (int x = 0; x < want.width; ++x)
      if (want(y, x) != 0) extents[size_t(want(y, x)) - 1].add(y, x);
  CHECK(got.extents == extents);
}

/// The window of maps that a block of side `side` has, with these settings.
int64_t window_of(int side, const Maps& maps, const VectorFieldDecoding& d) {
  const Tensor& field = maps["field"];
  const double farthest = reach(d.integrate, largest_of(maps), std::max(field.dim(1), field.dim(2)));
  const auto all = int64_t(std::ceil(3 * farthest + 2 * d.dbscan.eps + 1));
  return (side + 2 * all) * (side + 2 * all);
}

/// A synthetic culture with noise on its field and logit, so that objects touch, break and leave noise.
Maps noisy_culture(int size, unsigned seed, float noise) {
  const VectorFields method{VectorFieldOptions{}};
  const Maps maps = method.oracle({}, make_synthetic({.size = size, .seed = seed}, 0).labels);
  const std::vector<float> u = uniform<float>(size_t(3) * size_t(size) * size_t(size), -1, 1, seed);
  float* logit = maps["logit"].data<float>();
  float* field = maps["field"].data<float>();
  for (int64_t i = 0; i < int64_t(size) * size; ++i) {
    logit[i] += 10.5f * u[size_t(3 * i)];
    field[2 * i] += noise * u[size_t(3 * i + 1)];
    field[2 * i + 1] += noise * u[size_t(3 * i + 2)];
  }
  return maps;
}

Maps uniform_maps(int height, int width, float logit, float vx, float vy) {
  Maps maps{{{"logit", Tensor::empty({}, {1, height, width})}, {"field", Tensor::empty({}, {2, height, width})}}};
  std::fill_n(maps["logit"].data<float>(), height * width, logit);
  std::fill_n(maps["field"].data<float>(), height * width, vx);
  std::fill_n(maps["field"].data<float>() + height * width, height * width, vy);
  return maps;
}

}  // namespace

TEST_CASE("decoding in blocks: the labels are those of the image in one piece, for any size of blocks") {
  for (const unsigned seed : {1u, 2u}) {
    const Maps maps = noisy_culture(230, seed, 0.4f);
    for (const int side : {32, 47, 101}) {
      VectorFieldDecoding d;
      d.dbscan = {2.25, 8};
      check_equal(maps, d, window_of(side, maps, d));
      d.dbscan = {1, 25};  // many points are noise
      d.noise = NoiseRule::omnipose;
      check_equal(maps, d, window_of(side, maps, d));
      d.dbscan = {1.3, 3};  // many small clusters that touch
      d.integrate.interpolation = kernels::Interpolation::nearest;
      check_equal(maps, d, window_of(side, maps, d));
    }
  }
}

TEST_CASE("decoding in blocks: an interrupted decoding continues with the next block, to the same labels") {
  const Maps maps = noisy_culture(230, 3, 0.4f);
  VectorFieldDecoding d;
  d.dbscan = {2.25, 8};
  const int64_t window = window_of(40, maps, d);
  const InBlocks want = decode_blocks(maps, d, window);
  REQUIRE(want.windows == 2 * 36);
  const Folder folder;
  BlockDecoding image{230, 230, window, largest_of(maps)};
  int64_t reads = 0, stop_at = 0;
  image.maps = [&](const PixelRect& r) {
    if (++reads == stop_at) refuse("stopped");
    return part(maps, r);
  };
  std::vector<ObjectExtent> extents;
  const auto decode = [&](bool loses_last) {
    if (loses_last)
      std::filesystem::resize_file(folder / "records.0", std::filesystem::file_size(folder / "records.0") - 1);
    PlaneFile clusters(folder / "clusters", 1, 230, 230, 4, true), labels(folder / "labels", 1, 230, 230, 4, true);
    SharedRecords records(folder / "records", "", true, nullptr, [&] { clusters.flush(), labels.flush(); });
    image.clusters = &clusters, image.labels = &labels, image.records = &records;
    extents = decode_in_blocks(image, d);
  };
  // Each run computes six blocks and stops in the next one; every second one loses the record of its last block, whose
  // clusters or labels are written.
  int runs = 0;
  for (bool finished = false; !finished; ++runs) {
    stop_at = reads + 7;
    try {
      decode(runs % 2 == 1);
      finished = true;
    } catch (const Error&) {
    }
  }
  CHECK(runs == 13);
  CHECK(reads == 72 + 12 + 6);  // those that were stopped in, and those that lost their record
  double first_share = -1;
  image.progress = [&](double share) { first_share = first_share < 0 ? share : first_share; };
  decode(false);
  CHECK(first_share == 1);
  CHECK(reads == 72 + 12 + 6);
  std::vector<int32_t> ids(want.labels.ids.size());
  PlaneFile(folder / "labels", 1, 230, 230, 4, true).read(0, {0, 0, 230, 230}, ids.data());
  CHECK(ids == want.labels.ids);
  CHECK(extents == want.extents);
}

TEST_CASE("decoding in blocks: any number of ranks gives the labels of one process, for any size of blocks") {
  const Maps maps = noisy_culture(230, 4, 0.4f);
  VectorFieldDecoding d;
  d.dbscan = {2.25, 8};
  for (const int side : {32, 60, 131}) {
    const int64_t window = window_of(side, maps, d);
    const InBlocks want = decode_blocks(maps, d, window);
    for (const int count : {1, 2, 3, 4, 7}) {
      CAPTURE(side);
      CAPTURE(count);
      const Folder folder;
      PlaneFile(folder / "clusters", 1, 230, 230, 4), PlaneFile(folder / "labels", 1, 230, 230, 4);
      // Each run stops after more blocks, and the next one continues it with another number of ranks.
      std::vector<std::vector<ObjectExtent>> extents;
      int runs = 0;
      for (bool finished = false; !finished; ++runs) {
        const int ranks = (count + runs) % 8 + 1;
        extents.assign(size_t(ranks), {});
        std::atomic<int> left = 12 + 5 * runs;
        try {
          ThreadRanks(ranks).run([&](Ranks& all) {
            PlaneFile clusters(folder / "clusters", 1, 230, 230, 4, true);
            PlaneFile labels(folder / "labels", 1, 230, 230, 4, true);
            SharedRecords records(folder / "records", "", true, &all, [&] { clusters.flush(), labels.flush(); });
            BlockDecoding image{230, 230, window, largest_of(maps)};
            image.maps = [&](const PixelRect& r) {
              if (left-- == 0) refuse("stopped");
              return part(maps, r);
            };
            image.clusters = &clusters, image.labels = &labels, image.records = &records, image.ranks = &all;
            extents[size_t(all.rank())] = decode_in_blocks(image, d);
          });
          finished = true;
        } catch (const JointError&) {
        }
      }
      if (side == 32) CHECK(runs > 1);
      std::vector<int32_t> ids(want.labels.ids.size());
      PlaneFile(folder / "labels", 1, 230, 230, 4, true).read(0, {0, 0, 230, 230}, ids.data());
      CHECK(ids == want.labels.ids);
      for (const std::vector<ObjectExtent>& of_rank : extents)
        CHECK(of_rank == want.extents);
    }
  }
}

TEST_CASE("decoding in blocks: every solver gives the labels of the image in one piece") {
  const Maps maps = noisy_culture(200, 5, 0.3f);
  using kernels::Solver, kernels::Suppression;
  for (const Solver solver : {Solver::midpoint, Solver::rk4}) {
    VectorFieldDecoding d;
    d.integrate.solver = solver;
    check_equal(maps, d, window_of(40, maps, d));
  }
  for (const Suppression suppression : {Suppression::paper, Suppression::omnipose}) {
    VectorFieldDecoding d;
    d.integrate.suppression = suppression;
    check_equal(maps, d, window_of(40, maps, d));
  }
  VectorFieldDecoding d;
  d.integrate.solver = Solver::dopri5, d.integrate.steps = 10;
  for (int64_t i = 0; i < int64_t(2) * 200 * 200; ++i)
    maps["field"].data<float>()[i] *= 0.3f;  // a trial step of this solver may reach far
  check_equal(maps, d, window_of(40, maps, d));
}

TEST_CASE("decoding in blocks: one object over all blocks, none at all, and an image smaller than a block") {
  VectorFieldDecoding d;
  const Maps full = uniform_maps(150, 211, 5, 0.3f, -0.2f);
  check_equal(full, d, window_of(32, full, d));
  CHECK(decode_blocks(full, d, window_of(32, full, d)).labels.count == 1);
  const Maps empty = uniform_maps(150, 211, -5, 0.3f, -0.2f);
  check_equal(empty, d, window_of(50, empty, d));
  check_equal(uniform_maps(20, 1, 5, 0, 0), d, 1 << 20, false);
  check_equal(uniform_maps(1, 1, 5, 1, 1), d, 1 << 20, false);

  // A spiral of one pixel's width, whose parts are joined only at its middle, far from most of its blocks.
  const Maps spiral = uniform_maps(160, 160, -5, 0, 0);
  int y = 0, x = 0, dy = 0, dx = 1, left = 160;
  for (int turn = 0; left > 0; ++turn) {
    for (int k = 0; k < left; ++k) {
      spiral["logit"].data<float>()[y * 160 + x] = 5;
      if (k + 1 < left) y += dy, x += dx;
    }
    std::swap(dy, dx);
    if (dx != 0) dx = -dx;
    if (turn > 0 && turn % 2 == 0) left -= 4;
    y += dy, x += dx;
    if (turn == 0) left -= 1;
  }
  d.dbscan = {1, 2};
  check_equal(spiral, d, window_of(32, spiral, d));
}

TEST_CASE("decoding in blocks: refuses fields that it cannot follow, and blocks larger than the memory") {
  VectorFieldDecoding d;
  const float nan = std::nanf("");
  const Folder folder;
  const auto refused = [&](float largest, int64_t window_pixels) {
    PlaneFile file(folder / "x", 1, 300, 300, 4);
    BlockDecoding image{300, 300, window_pixels, largest};
    image.clusters = image.labels = &file;
    return refusal([&] { decode_in_blocks(image, d); });
  };
  CHECK(contains(refused(nan, 1 << 20), "not finite"));
  CHECK(contains(refused(INFINITY, 1 << 20), "not finite"));
  CHECK(contains(refused(100, 250 * 250), "raise --max-memory"));
  d.rescale = kernels::DivergenceRange{};
  CHECK(contains(reason_for_whole_image(d), "--rescale"));
  d = {};
  d.noise = NoiseRule::majority;
  CHECK(contains(reason_for_whole_image(d), "--snap-noise majority"));
}

#include <cmath>

#include "engine/tensor.h"
#include "kernels/embedding/region_growing.h"
#include "kernels/embedding/smooth_embedding.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<float> smoothed(const Exec& exec, Shape shape, const std::vector<float>& e, int radius) {
  const Tensor unit = Tensor::empty(exec, {shape[1], shape[2], shape[0]});
  kernels::smooth_embedding(exec, Tensor::from(exec, shape, e).view<const float, 3>(), radius, unit.view<float, 3>());
  return unit.to_host<float>(exec);
}

/// embedding [H, W, C], directions [seeds + 1, C].
std::vector<int32_t> grown(const Exec& exec, Shape shape, const std::vector<float>& embedding,
                           const std::vector<float>& directions, double min_cosine, const std::vector<int32_t>& seeds) {
  const Tensor labels = Tensor::from<int32_t>(exec, {shape[0], shape[1]}, seeds);
  const Tensor to = Tensor::from<float>(exec, {int64_t(directions.size()) / shape[2], shape[2]}, directions);
  kernels::grow_regions(exec, Tensor::from<float>(exec, shape, embedding).view<const float, 3>(),
                        to.view<const float, 2>(), min_cosine, labels.view<int32_t, 2>());
  return labels.to_host<int32_t>(exec);
}

int mirrored_index(int i, int n) {
  while (i < 0 || i >= n)
    i = i < 0 ? -1 - i : 2 * n - 1 - i;
  return i;
}

}  // namespace

TEST_CASE("smooth embedding: values by hand") {
  for (const Exec& exec : execs()) {
    check_close<float>(smoothed(exec, {2, 1, 3}, {3, 0, 0, 4, 0, -2}, 0), {.6f, .8f, 0, 0, 0, -1}, 0, 1e-6);
    // One row: the disc of radius 1 counts each pixel three times and its neighbours once, mirrored at the ends.
    const auto unit = [](double a, double b) {
      return std::pair(float(a / std::hypot(a, b)), float(b / std::hypot(a, b)));
    };
    const auto [a0, b0] = unit(4, 1);
    const auto [a1, b1] = unit(1, 3);
    check_close<float>(smoothed(exec, {2, 1, 2}, {1, 0, 0, 1}, 1), {a0, b0, unit(1, 4).first, unit(1, 4).second}, 0,
                       1e-6);
    check_close<float>(smoothed(exec, {2, 1, 3}, {1, 0, 0, 0, 1, 0}, 1), {a0, b0, a1, b1, 0, 1}, 0, 1e-6);
    CHECK_THROWS_AS(smoothed(exec, {1, 1, 1}, {1}, 17), Error);
    CHECK_THROWS_AS(smoothed(exec, {1, 1, 1}, {1}, -1), Error);
  }
}

TEST_CASE("smooth embedding: equals a pixel-by-pixel mean on every device") {
  for (const Shape shape : {Shape{1, 1, 1}, Shape{3, 2, 150}, Shape{2, 21, 65}, Shape{4, 9, 3}})
    for (const int radius : {1, 3, 5}) {
      const std::vector<float> e = uniform<float>(size_t(shape.size()), -1, 1, 4);
      std::vector<float> want;
      for (int y = 0; y < shape[1]; ++y)
        for (int x = 0; x < shape[2]; ++x) {
          std::vector<double> sum(size_t(shape[0]), 0);
          double square = 0;
          for (int k = 0; k < shape[0]; ++k) {
            for (int dy = -radius; dy <= radius; ++dy)
              for (int dx = -radius; dx <= radius; ++dx)
                if (dx * dx + dy * dy <= radius * radius)
                  sum[size_t(k)] += double(e[size_t((k * shape[1] + mirrored_index(y + dy, shape[1])) * shape[2] +
                                                    mirrored_index(x + dx, shape[2]))]);
            square += sum[size_t(k)] * sum[size_t(k)];
          }
          for (const double s : sum)
            want.push_back(float(s / std::sqrt(square)));
        }
      for (const Exec& exec : execs())
        check_close(smoothed(exec, shape, e, radius), want, 1e-4, 1e-4);
    }
}

TEST_CASE("seed directions: values by hand") {
  for (const Exec& exec : execs()) {
    const Tensor e = Tensor::from<float>(exec, {1, 4, 2}, {3, 0, 0, 4, 1, 0, -1, 0});
    const Tensor pixels = Tensor::from<int32_t>(exec, {4}, {0, 1, 2, 3}),
                 first = Tensor::from<int32_t>(exec, {3}, {0, 2, 4});
    const Tensor to = Tensor::empty(exec, {3, 2});
    kernels::seed_directions(exec, e.view<const float, 3>(), pixels.view<const int32_t, 1>(),
                             first.view<const int32_t, 1>(), to.view<float, 2>());
    check_close<float>(to.to_host<float>(exec), {0, 0, .6f, .8f, 0, 0}, 0, 1e-6);
  }
}

TEST_CASE("region growing: labels by hand") {
  for (const Exec& exec : execs()) {
    const std::vector<float> row{1, 0, 1, 0, .8f, .6f, .6f, .8f, 0, 1, 0, 1};  // rotates from (1, 0) to (0, 1)
    const Shape shape{1, 6, 2};
    CHECK(grown(exec, shape, row, {0, 0, 1, 0}, .7, {0, 1, 0, 0, 0, 0}) == std::vector<int32_t>{1, 1, 1, 0, 0, 0});
    CHECK(grown(exec, shape, row, {0, 0, 1, 0}, .9, {0, 1, 0, 0, 0, 0}) == std::vector<int32_t>{1, 1, 0, 0, 0, 0});
    CHECK(grown(exec, shape, row, {0, 0, 1, 0, 0, 1}, .5, {1, 0, 0, 0, 0, 2}) ==
          std::vector<int32_t>{1, 1, 2, 2, 2, 2});  // the larger label overwrites the smaller one
    CHECK(grown(exec, shape, row, {0, 0, 0, 1, 1, 0}, .5, {2, 0, 0, 0, 0, 1}) ==
          std::vector<int32_t>{2, 2, 2, 2, 1, 1});
    CHECK(grown(exec, shape, row, {0, 0}, .5, {0, 0, 0, 0, 0, 0}) == std::vector<int32_t>(6, 0));
    // Only the largest label in a pixel's neighbourhood is considered.
    CHECK(grown(exec, {1, 3, 2}, {1, 0, 1, 0, 0, 1}, {0, 0, 1, 0, 0, 1}, .7, {1, 0, 2}) ==
          std::vector<int32_t>{1, 0, 2});
  }
}

TEST_CASE("region growing: growing by fronts and by sweeps gives the same labels on every device") {
  Exec plain;
  plain.variant = Variant::plain;
  const Shape shape{67, 83, 3};
  for (const unsigned seed : {1u, 2u, 3u}) {
    std::mt19937 rng(seed);
    const int seeds = 25;
    std::vector<float> directions(3, 0.f), embedding;
    for (int s = 0; s < seeds; ++s)
      for (int k = 0; k < 3; ++k)
        directions.push_back(int(rng() % 3) == k ? 1.f : .1f);
    for (int i = 0; i < shape[0] * shape[1]; ++i)
      for (int k = 0; k < 3; ++k)
        embedding.push_back(float(std::sin(.09 * (i % shape[1]) * (k + 1) + .07 * (i / shape[1]) + seed)));
    std::vector<int32_t> start(size_t(shape[0] * shape[1]), 0);
    for (int s = 1; s <= seeds; ++s)
      start[rng() % start.size()] = s;
    const std::vector<int32_t> want = grown(plain, shape, embedding, directions, .4, start);
    CHECK(want != start);
    for (const Exec& exec : execs())
      CHECK(grown(exec, shape, embedding, directions, .4, start) == want);
  }
}

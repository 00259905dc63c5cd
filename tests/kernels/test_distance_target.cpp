#include <omp.h>

#include <cmath>

#include "engine/tensor.h"
#include "kernels/field/distance_target.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<float> distance_target(const Exec& exec, int height, int width, const std::vector<int32_t>& labels,
                                   int slots, double scale) {
  const Tensor to = Tensor::empty(exec, {height, width});
  kernels::distance_target(exec, Tensor::from(exec, {height, width}, labels).view<const int32_t, 2>(), slots, scale,
                           to.view<float, 2>());
  return to.to_host<float>(exec);
}

/// Takes each interior pixel's distance to every pixel that is not interior.
std::vector<float> oracle(int height, int width, std::vector<int32_t> labels, int slots, double scale) {
  for (int32_t& label : labels)
    if (label >= slots) label = 0;
  const auto at = [&](int y, int x) { return labels[size_t(y * width + x)]; };
  std::vector<bool> interior;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      int32_t low = at(y, x), high = at(y, x);
      for (int v = std::max(0, y - 1); v < std::min(height, y + 2); ++v)
        for (int u = std::max(0, x - 1); u < std::min(width, x + 2); ++u)
          low = std::min(low, at(v, u)), high = std::max(high, at(v, u));
      interior.push_back(low == high && low > 0);
    }
  std::vector<double> distance(labels.size(), 0), largest(size_t(slots), 0);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      if (!interior[size_t(y * width + x)]) continue;
      double nearest = 1e9;
      for (int v = 0; v < height; ++v)
        for (int u = 0; u < width; ++u)
          if (!interior[size_t(v * width + u)]) nearest = std::min(nearest, std::hypot(v - y, u - x));
      distance[size_t(y * width + x)] = nearest;
      largest[size_t(at(y, x))] = std::max(largest[size_t(at(y, x))], nearest);
    }
  std::vector<float> to;
  for (size_t i = 0; i < labels.size(); ++i)
    to.push_back(distance[i] > 0 ? float(scale * distance[i] / largest[size_t(labels[i])]) : 0.f);
  return to;
}

}  // namespace

TEST_CASE("distance target: image borders, touching objects and thin objects, by hand") {
  for (const Exec& exec : execs()) {
    // The image border is not an object boundary; where 1 and 2 touch, both have one; 3 has no interior.
    check_close<float>(distance_target(exec, 1, 12, {1, 1, 1, 1, 2, 2, 2, 0, 3, 3, 0, 0}, 4, 10),
                       {10, 20 / 3.f, 10 / 3.f, 0, 0, 10, 0, 0, 0, 0, 0, 0}, 1e-5, 0);
    check_close<float>(distance_target(exec, 1, 12, {1, 1, 1, 1, 2, 2, 2, 0, 3, 3, 0, 0}, 2, 1),
                       {1, 2 / 3.f, 1 / 3.f, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1e-5, 0);
    CHECK(distance_target(exec, 2, 2, {1, 1, 1, 1}, 2, 10) == std::vector<float>(4, 10.f));
    CHECK(distance_target(exec, 2, 2, {0, 0, 0, 0}, 2, 10) == std::vector<float>(4, 0.f));
    CHECK(distance_target(exec, 1, 1, {1}, 1, 10) == std::vector<float>(1, 0.f));
    // Pixels outside the image, of label -1, make no boundary, and no distance is measured to them.
    check_close<float>(distance_target(exec, 1, 9, {-1, -1, 1, 1, 1, 1, 0, 0, -1}, 2, 10),
                       {0, 0, 10, 20 / 3.f, 10 / 3.f, 0, 0, 0, 0}, 1e-5, 0);
    CHECK(distance_target(exec, 3, 3, {-1, -1, -1, -1, 1, 1, -1, -1, -1}, 2, 10) ==
          std::vector<float>{0, 0, 0, 0, 10, 10, 0, 0, 0});
  }
}

TEST_CASE("distance target: equals a pixel-by-pixel search, on every device and with any number of threads") {
  const int before = omp_get_max_threads();
  unsigned seed = 1;
  for (const auto& [height, width] : {std::pair(1, 50), {50, 1}, {31, 47}, {24, 130}}) {
    std::mt19937 rng(++seed);
    std::vector<int32_t> labels(size_t(height * width), 0);
    for (int k = 1; k <= 12; ++k) {
      const int top = int(rng() % unsigned(height)), left = int(rng() % unsigned(width));
      for (int y = top; y < std::min(height, top + 12); ++y)
        for (int x = left; x < std::min(width, left + 15); ++x)
          labels[size_t(y * width + x)] = k % 11;  // some blocks are background, and labels repeat
    }
    const std::vector<float> want = oracle(height, width, labels, 10, 10);
    std::vector<float> first;
    for (const Exec& exec : execs())
      for (const int threads : {1, 3}) {
        omp_set_num_threads(threads);
        const std::vector<float> got = distance_target(exec, height, width, labels, 10, 10);
        check_close(got, want, 1e-5, 1e-6);
        if (first.empty()) first = got;
        CHECK(got == first);
      }
  }
  omp_set_num_threads(before);
}

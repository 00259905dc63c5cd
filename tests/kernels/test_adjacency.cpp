#include <omp.h>

#include <cmath>

#include "engine/tensor.h"
#include "kernels/embedding/adjacency.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

struct Graph {
  int slots;
  std::vector<int32_t> bits;

  bool operator()(int n, int a, int b) const {
    const int words = kernels::words_for(slots);
    return kernels::is_neighbour(bits.data() + (size_t(n) * size_t(slots) + size_t(a)) * size_t(words), b);
  }
};

Graph adjacency(const Exec& exec, Shape shape, const std::vector<int32_t>& labels, int slots,
                kernels::AdjacencyOptions o) {
  const Tensor bits = Tensor::empty(exec, {shape[0], slots, kernels::words_for(slots)}, DType::i32);
  kernels::adjacency(exec, Tensor::from(exec, shape, labels).view<const int32_t, 3>(), o, bits.view<int32_t, 3>());
  return {slots, bits.to_host<int32_t>(exec)};
}

/// Compares every pixel with every other one in the disc around it.
std::vector<bool> oracle(Shape shape, const std::vector<int32_t>& labels, int slots, kernels::AdjacencyOptions o) {
  const int samples = shape[0], height = shape[1], width = shape[2];
  std::vector<bool> near(size_t(samples) * size_t(slots) * size_t(slots));
  const auto at = [&](int n, int y, int x) {
    const int32_t label = labels[(size_t(n) * size_t(height) + size_t(y)) * size_t(width) + size_t(x)];
    return size_t(label < slots ? label : 0);
  };
  for (int n = 0; n < samples; ++n) {
    std::vector<bool> present(size_t(slots), false);
    const auto set = [&](size_t a, size_t b) { near[(size_t(n) * size_t(slots) + a) * size_t(slots) + b] = true; };
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const size_t a = at(n, y, x);
        present[a] = true;
        for (int v = 0; v < height; ++v) {
          if (std::abs(v - y) > o.radius) continue;
          const double ratio = (v - y) / o.radius;
          const int reach = int(std::lrint(o.radius * std::sqrt(1 - ratio * ratio)));
          for (int u = std::max(0, x - reach); u <= std::min(width - 1, x + reach); ++u) {
            const size_t b = at(n, v, u);
            if (a > 0 && b > 0 && a != b) set(a, b);
          }
        }
      }
    for (size_t a = 1; a < size_t(slots); ++a)
      if (o.background && present[0] && present[a]) set(0, a), set(a, 0);
  }
  return near;
}

std::vector<int32_t> random_labels(Shape shape, int objects, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> labels(size_t(shape.size()), 0);
  for (int n = 0; n < shape[0]; ++n)
    for (int k = 1; k <= objects; ++k) {
      const int h = 1 + int(rng() % 6), w = 1 + int(rng() % 6);
      const int top = int(rng() % unsigned(shape[1])), left = int(rng() % unsigned(shape[2]));
      for (int y = top; y < std::min(shape[1], top + h); ++y)
        for (int x = left; x < std::min(shape[2], left + w); ++x)
          labels[size_t((n * shape[1] + y) * shape[2] + x)] = k;
    }
  return labels;
}

}  // namespace

TEST_CASE("adjacency: distances within OpenCV's disc, by hand") {
  // Two pixels (dx, dy) apart, and a background.
  const auto near = [](int dx, int dy, double radius) {
    const Shape shape{1, 16, 16};
    std::vector<int32_t> labels(256, 0);
    labels[0] = 1;
    labels[size_t(dy * 16 + dx)] = 2;
    const Graph g = adjacency(Exec{}, shape, labels, 3, {.radius = radius});
    CHECK(g(0, 1, 2) == g(0, 2, 1));
    CHECK(g(0, 0, 1));
    CHECK(g(0, 2, 0));
    CHECK_FALSE(g(0, 1, 1));
    CHECK_FALSE(g(0, 0, 0));
    return g(0, 1, 2);
  };
  CHECK(near(10, 0, 10));
  CHECK_FALSE(near(11, 0, 10));
  CHECK(near(10, 3, 10));  // round(9.54)
  CHECK_FALSE(near(10, 4, 10));
  CHECK(near(9, 4, 10));  // round(9.17)
  CHECK(near(4, 9, 10));  // round(4.36)
  CHECK_FALSE(near(5, 9, 10));
  CHECK(near(0, 10, 10));
  CHECK_FALSE(near(1, 10, 10));
  CHECK(near(1, 1, std::sqrt(2.0)));
  CHECK_FALSE(near(2, 0, std::sqrt(2.0)));
  CHECK_FALSE(near(0, 2, std::sqrt(2.0)));
  CHECK_FALSE(near(1, 1, 1));
}

TEST_CASE("adjacency: equals a pixel-by-pixel search, on every device and with any number of threads") {
  const int threads_before = omp_get_max_threads();
  unsigned seed = 1;
  for (const Shape shape : {Shape{1, 1, 1}, Shape{2, 1, 40}, Shape{1, 40, 1}, Shape{3, 23, 37}, Shape{1, 70, 65}})
    for (const int objects : {0, 1, 6, 40, 70})
      for (const kernels::AdjacencyOptions o :
           {kernels::AdjacencyOptions{}, {.radius = 1, .background = false}, {.radius = 3.5}}) {
        const std::vector<int32_t> labels = random_labels(shape, objects, ++seed);
        const int slots = 65;
        const std::vector<bool> want = oracle(shape, labels, slots, o);
        for (const Exec& exec : execs())
          for (const int threads : {1, 3}) {
            omp_set_num_threads(threads);
            const Graph got = adjacency(exec, shape, labels, slots, o);
            bool same = true;
            for (int n = 0; n < shape[0]; ++n)
              for (int a = 0; a < slots; ++a)
                for (int b = 0; b < slots; ++b)
                  same &= got(n, a, b) == want[size_t((n * slots + a) * slots + b)];
            CHECK(same);
          }
      }
  omp_set_num_threads(threads_before);
}

TEST_CASE("adjacency: objects beyond the capacity count as background; missing labels have no neighbours") {
  for (const Exec& exec : execs()) {
    const Graph g = adjacency(exec, {3, 1, 5}, {1, 2, 3, 4, 5, 2, 2, 1, 1, 1, 0, 0, 0, 2, 0}, 4, {});
    CHECK(g(0, 0, 1));
    CHECK(g(0, 3, 0));
    CHECK(g(0, 1, 3));
    CHECK_FALSE(g(1, 0, 1));  // this sample has no background
    CHECK(g(1, 1, 2));
    CHECK_FALSE(g(2, 0, 1));
    CHECK_FALSE(g(2, 2, 1));
    CHECK(g(2, 2, 0));
  }
}

TEST_CASE("adjacency: an invalid radius and tables of the wrong size are refused") {
  const Exec cpu;
  for (const double radius : {0.0, -1.0, 65.0, std::nan("")})
    CHECK_THROWS_AS(adjacency(cpu, {1, 2, 2}, {0, 0, 0, 0}, 4, {.radius = radius}), Error);
  std::vector<int32_t> bits(64), labels(4);
  CHECK_THROWS_AS(kernels::adjacency(cpu, {labels.data(), {1, 2, 2}}, {}, {bits.data(), {1, 40, 1}}), Error);
}

#include <omp.h>

#include <algorithm>
#include <map>

#include "engine/tensor.h"
#include "kernels/image/components.h"
#include "kernels/image/components_runs.h"
#include "tests/support/support.h"

using namespace basin;

namespace {

struct Mask {
  int height, width;
  std::vector<uint8_t> pixels;
};

/// Rows of text: anything but a blank or '.' is foreground.
Mask drawn(const std::vector<std::string>& rows) {
  Mask m{int(rows.size()), int(rows[0].size()), {}};
  for (const std::string& row : rows)
    for (const char c : row)
      m.pixels.push_back(c == '.' ? 0 : 1);
  return m;
}

Mask random_mask(int height, int width, double share, unsigned seed) {
  Mask m{height, width, {}};
  std::mt19937 rng(seed);
  std::bernoulli_distribution set(share);
  for (int i = 0; i < height * width; ++i)
    m.pixels.push_back(set(rng) ? uint8_t(1 + rng() % 255) : 0);
  return m;
}

/// Flood fill of one component after the other, in raster order of their first pixels.
std::vector<int32_t> components_oracle(const Mask& m, int connectivity) {
  std::vector<int32_t> labels(m.pixels.size(), 0);
  int32_t next = 0;
  for (int start = 0; start < m.height * m.width; ++start) {
    if (!m.pixels[size_t(start)] || labels[size_t(start)]) continue;
    labels[size_t(start)] = ++next;
    std::vector<int> stack{start};
    while (!stack.empty()) {
      const int y = stack.back() / m.width, x = stack.back() % m.width;
      stack.pop_back();
      for (int dy = -1; dy <= 1; ++dy)
        for (int dx = -1; dx <= 1; ++dx) {
          if (connectivity == 4 && dx && dy) continue;
          if (y + dy < 0 || y + dy >= m.height || x + dx < 0 || x + dx >= m.width) continue;
          const size_t at = size_t((y + dy) * m.width + x + dx);
          if (!m.pixels[at] || labels[at]) continue;
          labels[at] = next;
          stack.push_back(int(at));
        }
    }
  }
  return labels;
}

std::vector<int32_t> label(Exec exec, const Mask& m, int connectivity) {
  const Tensor mask = Tensor::from(exec, {m.height, m.width}, m.pixels);
  const Tensor labels = Tensor::empty(exec, {m.height, m.width}, DType::i32);
  const int64_t count =
      kernels::components(exec, mask.view<const uint8_t, 2>(), connectivity, labels.view<int32_t, 2>());
  const std::vector<int32_t> got = labels.to_host<int32_t>(exec);
  CHECK(count == (got.empty() ? 0 : *std::max_element(got.begin(), got.end())));
  return got;
}

void check_components(const Mask& m) {
  CAPTURE(m.height);
  CAPTURE(m.width);
  for (const int connectivity : {4, 8}) {
    const std::vector<int32_t> want = components_oracle(m, connectivity);
    for (Exec exec : test::execs())
      for (const Variant variant : {Variant::plain, Variant::automatic}) {
        exec.variant = variant;
        CHECK(label(exec, m, connectivity) == want);
      }
  }
}

}  // namespace

TEST_CASE("components: labels by hand") {
  const Mask m = drawn({"a..b",  //
                        "a.b.",  //
                        ".c..",  //
                        "d.ee"});
  for (const Exec& exec : test::execs()) {
    CHECK(label(exec, m, 4) == std::vector<int32_t>{1, 0, 0, 2, 1, 0, 3, 0, 0, 4, 0, 0, 5, 0, 6, 6});
    CHECK(label(exec, m, 8) == std::vector<int32_t>{1, 0, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1});
  }
}

TEST_CASE("components: shapes whose parts join late in raster order") {
  check_components(drawn({"#.#.#.#.#", "#.#.#.#.#", "#.#.#.#.#", "#########"}));
  check_components(drawn({"#########", "#.......#", "#.#####.#", "#.#...#.#", "#.###.#.#", "#.....#.#", "#######.#"}));
  check_components(drawn({"....#", "...#.", "..#..", ".#...", "#...#"}));
  check_components(drawn({"#..#..#", ".##.##.", "#..#..#"}));
}

TEST_CASE("components: random masks of awkward sizes match a flood fill") {
  unsigned seed = 0;
  for (const auto& [height, width] :
       {std::pair{1, 1}, {1, 130}, {130, 1}, {2, 2}, {3, 63}, {5, 64}, {7, 65}, {33, 129}, {64, 31}, {257, 200}})
    for (const double share : {0.0, 0.1, 0.4, 0.6, 0.75, 1.0})
      check_components(random_mask(height, width, share, ++seed));
}

TEST_CASE("components: pieces of labels match a flood fill of each label") {
  std::mt19937 rng(5);
  for (const auto& [height, width, labels] :
       {std::tuple{1, 1, 1}, {1, 90, 2}, {90, 1, 2}, {65, 64, 2}, {140, 33, 3}, {257, 200, 4}, {200, 50, 40}}) {
    std::vector<int32_t> image(size_t(height) * size_t(width));
    for (int32_t& id : image)
      id = int32_t(rng() % unsigned(labels + 1));
    if (labels == 40)  // long runs and columns
      for (size_t i = 0; i < image.size(); ++i)
        image[i] = int32_t(i) / width % 9 < 5 ? 7 : int32_t(i) % width / 10;
    for (const int connectivity : {4, 8}) {
      // Pieces of each label on its own, in raster order of their first pixels.
      std::vector<std::vector<int32_t>> own(size_t(labels) + 1);
      for (int32_t id = 1; id <= labels; ++id) {
        Mask mask{height, width, {}};
        for (const int32_t other : image)
          mask.pixels.push_back(other == id);
        own[size_t(id)] = components_oracle(mask, connectivity);
      }
      std::vector<int32_t> want(image.size());
      std::map<std::pair<int32_t, int32_t>, int32_t> numbers;
      for (size_t i = 0; i < image.size(); ++i)
        if (image[i] > 0)
          want[i] =
              numbers.try_emplace({image[i], own[size_t(image[i])][i]}, int32_t(numbers.size()) + 1).first->second;
      for (Exec exec : test::execs())
        for (const Variant variant : {Variant::plain, Variant::automatic}) {
          exec.variant = variant;
          const Tensor from = Tensor::from(exec, {height, width}, image);
          const Tensor to = Tensor::empty(exec, {height, width}, DType::i32);
          const int64_t count =
              kernels::components_of_labels(exec, from.view<const int32_t, 2>(), connectivity, to.view<int32_t, 2>());
          CHECK(count == int64_t(numbers.size()));
          CHECK(to.to_host<int32_t>(exec) == want);
        }
    }
  }
}

TEST_CASE("components: an image without pixels gives no labels") {
  for (const Exec& exec : test::execs()) {
    CHECK(label(exec, {0, 5, {}}, 4).empty());
    CHECK(label(exec, {5, 0, {}}, 8).empty());
  }
}

TEST_CASE("components: strips cover all rows of an image of any height") {
  for (const int height : {0, 1, 63, 64, 65, 128, INT32_MAX - 64, INT32_MAX - 63, INT32_MAX}) {
    CAPTURE(height);
    const kernels::Strips strips{height};
    const int64_t count = (int64_t(height) + 63) / 64;
    REQUIRE(strips.count() == count);
    if (count == 0) continue;
    CHECK(strips.begin(0) == 0);
    CHECK(strips.end(count - 1) == height);
    CHECK(strips.begin(count - 1) == 64 * (count - 1));
    if (count > 1) CHECK(strips.end(count - 2) == strips.begin(count - 1));
  }
}

TEST_CASE("components: invalid arguments are refused") {
  CHECK_THROWS_AS(label(Exec{}, random_mask(4, 4, 0.5, 1), 6), Error);
  const Exec cpu;
  const Tensor mask = Tensor::zeros(cpu, {4, 4}, DType::u8), labels = Tensor::zeros(cpu, {4, 5}, DType::i32);
  CHECK_THROWS_AS(kernels::components(cpu, mask.view<const uint8_t, 2>(), 4, labels.view<int32_t, 2>()), Error);
}

TEST_CASE("components: the same labels at 1, 2 and 7 threads") {
  const int before = omp_get_max_threads();
  for (const double share : {0.5, 0.6}) {
    const Mask m = random_mask(700, 301, share, 9);
    for (const int connectivity : {4, 8}) {
      const std::vector<int32_t> want = components_oracle(m, connectivity);
      for (const int threads : {1, 2, 7}) {
        omp_set_num_threads(threads);
        CHECK(label(Exec{}, m, connectivity) == want);
      }
    }
  }
  omp_set_num_threads(before);
}

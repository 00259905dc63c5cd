#include <cmath>

#include "engine/tensor.h"
#include "kernels/image/gaussian.h"
#include "kernels/image/label_filter.h"
#include "kernels/image/peaks.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<float> smoothed(const Exec& exec, int height, int width, const std::vector<float>& map, double sigma) {
  const Tensor to = Tensor::empty(exec, {height, width});
  kernels::gaussian(exec, Tensor::from(exec, {height, width}, map).view<const float, 2>(), sigma, to.view<float, 2>());
  return to.to_host<float>(exec);
}

std::vector<uint8_t> peaks_of(const Exec& exec, int height, int width, const std::vector<float>& map,
                              kernels::PeakOptions o) {
  const Tensor to = Tensor::empty(exec, {height, width}, DType::u8);
  kernels::local_maxima(exec, Tensor::from(exec, {height, width}, map).view<const float, 2>(), o,
                        to.view<uint8_t, 2>());
  return to.to_host<uint8_t>(exec);
}

}  // namespace

TEST_CASE("gaussian: values by hand, and equality with a direct two-dimensional sum") {
  for (const Exec& exec : execs()) {
    const double a = std::exp(-2.0), b = std::exp(-8.0), sum = 1 + 2 * a + 2 * b;  // the kernel reaches two pixels
    check_close<float>(smoothed(exec, 1, 5, {0, 0, 1, 0, 0}, .5),
                       {float(b / sum), float(a / sum), float(1 / sum), float(a / sum), float(b / sum)}, 1e-7, 1e-6);
    check_close<float>(smoothed(exec, 3, 1, {1, 0, 0}, .5),
                       {float((1 + a + b) / sum), float((a + b) / sum), float(b / sum)}, 1e-7, 1e-6);
    const std::vector<float> map = uniform<float>(17 * 9, 0, 1, 3);
    CHECK(smoothed(exec, 17, 9, map, 0) == map);
    for (const double sigma : {.7, 3.0}) {
      const int radius = int(4 * sigma + .5);
      std::vector<float> want;
      for (int y = 0; y < 17; ++y)
        for (int x = 0; x < 9; ++x) {
          double value = 0, weights = 0;
          for (int dy = -radius; dy <= radius; ++dy)
            for (int dx = -radius; dx <= radius; ++dx) {
              const double w = std::exp(-(dx * dx + dy * dy) / (2 * sigma * sigma));
              const int v = std::clamp(y + dy, 0, 16), u = std::clamp(x + dx, 0, 8);
              value += w * double(map[size_t(v * 9 + u)]);
              weights += w;
            }
          want.push_back(float(value / weights));
        }
      check_close(smoothed(exec, 17, 9, map, sigma), want, 1e-6, 1e-6);
    }
    for (const double sigma : {-1.0, 17.0, std::nan("")})
      CHECK_THROWS_AS(smoothed(exec, 1, 1, {1}, sigma), Error);
  }
}

TEST_CASE("peaks: a row of peaks and plateaus by hand") {
  for (const Exec& exec : execs()) {
    const std::vector<float> row{7, 1, 2, 9, 9, 3, 0, 8, 8.5f, 10};
    CHECK(peaks_of(exec, 1, 10, row, {.radius = 2}) == std::vector<uint8_t>{0, 0, 0, 1, 1, 0, 0, 0, 0, 1});
    CHECK(peaks_of(exec, 1, 10, row, {.radius = 2, .threshold = .69}) ==
          std::vector<uint8_t>{1, 0, 0, 1, 1, 0, 0, 0, 0, 1});
    CHECK(peaks_of(exec, 1, 10, row, {.radius = 10}) == std::vector<uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
    CHECK(peaks_of(exec, 1, 10, row, {.radius = 2, .border = 1}) == std::vector<uint8_t>(10, 0));
    CHECK(peaks_of(exec, 3, 2, {0, 0, 0, 0, 0, 0}, {}) == std::vector<uint8_t>(6, 0));
    CHECK(peaks_of(exec, 1, 2, {-1, -2}, {.radius = 1}) == std::vector<uint8_t>(2, 0));
  }
}

TEST_CASE("peaks: equal a window-by-window search on every device") {
  for (const auto& [height, width] : {std::pair(1, 1), {33, 1}, {41, 37}, {8, 90}})
    for (const kernels::PeakOptions o : {kernels::PeakOptions{}, {.radius = 1, .threshold = .2}, {3, .5, 4}}) {
      std::vector<float> map = uniform<float>(size_t(height * width), 0, 1, unsigned(width));
      for (float& v : map)
        v = std::round(v * 20) / 20;  // ties
      std::vector<uint8_t> want;
      float largest = 0;
      for (const float v : map)
        largest = std::max(largest, v);
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) {
          const float v = map[size_t(y * width + x)];
          bool peak = double(v) > o.threshold * double(largest) && std::min(y, height - 1 - y) >= o.border &&
                      std::min(x, width - 1 - x) >= o.border;
          for (int j = std::max(0, y - o.radius); j <= std::min(height - 1, y + o.radius); ++j)
            for (int i = std::max(0, x - o.radius); i <= std::min(width - 1, x + o.radius); ++i)
              peak &= map[size_t(j * width + i)] <= v;
          want.push_back(peak);
        }
      for (const Exec& exec : execs())
        CHECK(peaks_of(exec, height, width, map, o) == want);
    }
}

TEST_CASE("label filter: sizes, removal of small labels and of weak labels, by hand") {
  for (const Exec& exec : execs()) {
    const std::vector<int32_t> ids{1, 1, 2, 0, 3, 3, 3, 3, 5, 5};
    const auto labels = [&] { return Tensor::from<int32_t>(exec, {2, 5}, ids); };
    const Tensor size = Tensor::empty(exec, {6}, DType::i32);
    kernels::label_sizes(exec, labels().view<const int32_t, 2>(), size.view<int32_t, 1>());
    CHECK(size.to_host<int32_t>(exec) == std::vector<int32_t>{1, 2, 1, 4, 0, 2});

    const Tensor large = labels();
    CHECK(kernels::drop_small_labels(exec, 2, 5, large.view<int32_t, 2>()) == 3);
    CHECK(large.to_host<int32_t>(exec) == std::vector<int32_t>{1, 1, 0, 0, 2, 2, 2, 2, 3, 3});

    // Means of labels 1, 2, 3 and 5, relative to the largest value, 8: .5, .25, .125 and 1.
    const Tensor values = Tensor::from<float>(exec, {2, 5}, {8, 0, 2, 7, 2, 2, 0, 0, 8, 8});
    for (const auto& [min_mean, kept] : {std::pair(.125, 4), {.126, 3}, {.3, 2}, {.6, 1}, {1.0, 1}, {1.1, 0}}) {
      const Tensor strong = labels();
      CHECK(kernels::drop_weak_labels(exec, {1, min_mean}, values.view<const float, 2>(), 5,
                                      strong.view<int32_t, 2>()) == kept);
    }
    const Tensor strong = labels();
    CHECK(kernels::drop_weak_labels(exec, {2, .3}, values.view<const float, 2>(), 5, strong.view<int32_t, 2>()) == 2);
    CHECK(strong.to_host<int32_t>(exec) == std::vector<int32_t>{1, 1, 0, 0, 0, 0, 0, 0, 2, 2});
  }
}

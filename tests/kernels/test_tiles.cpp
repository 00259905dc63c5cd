#include <algorithm>

#include "kernels/image/resize_antialiased.h"
#include "kernels/image/tiles.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using kernels::Outside;

namespace {

/// The source of pixel i on an axis of `size`, found by stepping to it pixel by pixel; -1 if there is none.
int walked(int i, int size, Outside outside) {
  if (outside == Outside::zero) return i >= 0 && i < size ? i : -1;
  if (outside == Outside::edge) return std::clamp(i, 0, size - 1);
  int at = 0;
  for (int step = 0, direction = 1; step < std::abs(i); ++step) {  // turns round at pixel 0 and at the last pixel
    if (at == size - 1) direction = -1;
    at += direction;
  }
  return at;
}

}  // namespace

TEST_CASE("tiles: pixels outside the image are 0, mirrored or repeated from the edge") {
  const std::vector<float> values = uniform<float>(2 * 7 * 9, -1, 1, 1);
  for (const Exec& exec : execs())
    for (const Outside rows : {Outside::zero, Outside::mirror, Outside::edge})
      for (const Outside columns : {Outside::zero, Outside::mirror, Outside::edge}) {
        const Tensor image = Tensor::from(exec, {2, 7, 9}, values), tile = Tensor::empty(exec, {2, 16, 20});
        kernels::cut_tile(exec, image.view<const float, 3>(), -5, -6, rows, columns, tile.view<float, 3>());
        const std::vector<float> got = tile.to_host<float>(exec);
        for (int c = 0; c < 2; ++c)
          for (int y = 0; y < 13; ++y)  // the part that a single reflection covers
            for (int x = 0; x < 17; ++x) {
              const int v = walked(y - 5, 7, rows), u = walked(x - 6, 9, columns);
              const float want = v < 0 || u < 0 ? 0 : values[size_t((c * 7 + v) * 9 + u)];
              REQUIRE(got[size_t((c * 16 + y) * 20 + x)] == want);
            }
      }
}

TEST_CASE("tiles: part of a tile is added with a weight, and the sum is scaled per row and column") {
  const std::vector<float> values = uniform<float>(2 * 8 * 8, -1, 1, 2), before = uniform<float>(2 * 10 * 12, -1, 1, 3);
  const std::vector<float> by_row = uniform<float>(10, 0, 1, 4), by_column = uniform<float>(12, 0, 1, 5);
  for (const Exec& exec : execs()) {
    const Tensor tile = Tensor::from(exec, {2, 8, 8}, values), sum = Tensor::from(exec, {2, 10, 12}, before);
    const kernels::TileShare share{-1, 5, 1, 6, 6, 12, 3};
    kernels::add_tile(exec, tile.view<const float, 3>(), share, sum.view<float, 3>());
    const Tensor rows = Tensor::from(exec, {10}, by_row), columns = Tensor::from(exec, {12}, by_column);
    kernels::scale_map(exec, rows.data<const float>(), columns.data<const float>(), sum.view<float, 3>());
    const std::vector<float> got = sum.to_host<float>(exec);
    for (int c = 0; c < 2; ++c)
      for (int y = 0; y < 10; ++y)
        for (int x = 0; x < 12; ++x) {
          const size_t at = size_t((c * 10 + y) * 12 + x);
          float want = before[at];
          if (y >= 1 && y < 6 && x >= 6) want += 3 * values[size_t((c * 8 + y + 1) * 8 + x - 5)];
          want *= by_row[size_t(y)] * by_column[size_t(x)];
          REQUIRE(got[at] == want);
        }
    const kernels::TileShare beyond{-1, 5, 0, 9, 6, 12, 3};
    CHECK_THROWS_AS(kernels::add_tile(exec, tile.view<const float, 3>(), beyond, sum.view<float, 3>()), Error);
  }
}

TEST_CASE("tiles: resizing interpolates bilinearly between pixel centres and scales vectors") {
  const std::vector<float> values = uniform<float>(3 * 5 * 4, -1, 1, 6);
  for (const Exec& exec : execs())
    for (const auto& [height, width] : {std::pair(5, 4), {11, 9}, {3, 2}, {1, 1}}) {
      const Tensor from = Tensor::from(exec, {3, 5, 4}, values), to = Tensor::empty(exec, {3, height, width});
      kernels::resize_map(exec, from.view<const float, 3>(), 2, 0.5f, to.view<float, 3>());
      std::vector<float> want;
      for (int c = 0; c < 3; ++c)
        for (int y = 0; y < height; ++y)
          for (int x = 0; x < width; ++x) {
            // Each source pixel is weighted by a tent that falls to 0 at a distance of 1 from its centre; beyond
            // the border the edge pixel is repeated.
            const double v = std::clamp((y + 0.5) * 5 / height - 0.5, 0., 4.),
                         u = std::clamp((x + 0.5) * 4 / width - 0.5, 0., 3.);
            double sum = 0;
            for (int b = 0; b < 5; ++b)
              for (int a = 0; a < 4; ++a)
                sum += std::max(0., 1 - std::abs(v - b)) * std::max(0., 1 - std::abs(u - a)) *
                       values[size_t((c * 5 + b) * 4 + a)];
            want.push_back(float(sum * (c == 0 ? 2 : c == 1 ? 0.5 : 1)));
          }
      check_close(to.to_host<float>(exec), want, 1e-6, 1e-6);
    }
}

TEST_CASE("tiles: an image and a map that are resized part by part have the bits of the whole") {
  constexpr int channels = 2, height = 37, width = 53;
  const std::vector<float> values = uniform<float>(channels * height * width, -1, 1, 9);
  const auto cut = [&](const std::vector<float>& from, int columns, int y, int x, int h, int w) {
    std::vector<float> part;
    for (int c = 0; c < channels; ++c)
      for (int row = y; row < y + h; ++row)
        for (int column = x; column < x + w; ++column)
          part.push_back(from[(from.size() / channels) * size_t(c) + size_t(row * columns + column)]);
    return part;
  };
  for (const Exec& exec : execs())
    for (const auto& [to_height, to_width] : {std::pair(37, 53), {80, 61}, {13, 20}, {5, 3}})
      for (const bool is_map : {true, false}) {
        const auto resize = [&](const Tensor& from, const Tensor& to, const kernels::ResizedPart& part) {
          if (is_map) return kernels::resize_map(exec, from.view<const float, 3>(), 2, 3, to.view<float, 3>(), part);
          kernels::resize_antialiased(exec, from.view<const float, 3>(), to.view<float, 3>(), part);
        };
        const Tensor all = Tensor::empty(exec, {channels, to_height, to_width});
        resize(Tensor::from(exec, {channels, height, width}, values), all, {});
        const std::vector<float> want = all.to_host<float>(exec);
        const auto sources = is_map ? kernels::map_sources : kernels::antialiased_sources;
        const int y = to_height / 3, x = to_width / 4, h = to_height - y - 1, w = to_width / 2;
        const kernels::PixelRange rows = sources({y, y + h}, height, to_height);
        const kernels::PixelRange columns = sources({x, x + w}, width, to_width);
        const int from_h = rows.end - rows.begin, from_w = columns.end - columns.begin;
        const Tensor from = Tensor::from(exec, {channels, from_h, from_w},
                                         cut(values, width, rows.begin, columns.begin, from_h, from_w));
        const Tensor to = Tensor::empty(exec, {channels, h, w});
        kernels::ResizedPart part{{rows.begin, columns.begin, height, width}, {y, x, to_height, to_width}, {}};
        resize(from, to, part);
        CHECK(to.to_host<float>(exec) == cut(want, to_width, y, x, h, w));
        const Tensor by_rows = Tensor::empty(exec, {channels, h, w});
        for (int row = y; row < y + h; ++row) {
          part.rows = {row, row + 1};
          resize(from, by_rows, part);
        }
        CHECK(by_rows.to_host<float>(exec) == cut(want, to_width, y, x, h, w));
        const Tensor short_of_a_row = Tensor::from(exec, {channels, from_h - 1, from_w},
                                                   cut(values, width, rows.begin, columns.begin, from_h - 1, from_w));
        CHECK_THROWS_AS(resize(short_of_a_row, to, part), Error);
      }
}

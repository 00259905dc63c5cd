#include "data/report/flow_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/runtime/platform.h"

namespace basin {

std::array<double, 3> colour_of_direction(double x, double y) {
  const double hue = std::atan2(y, x) / (std::numbers::pi / 3);
  std::array<double, 3> colour;
  for (int c = 0; c < 3; ++c) {  // each of red, green and blue is full within 60 degrees of its own hue
    const double distance = std::abs(std::remainder(hue - 2 * c, 6));
    colour[size_t(c)] = std::clamp(2 - distance, 0., 1.);
  }
  return colour;
}

Image flow_picture(int height, int width, const std::vector<float>& field) {
  const size_t n = size_t(height) * size_t(width);
  BASIN_CHECK(field.size() == 2 * n && n > 0, field.size(), " numbers for ", width, " x ", height);
  std::vector<float> lengths(n);
  for (size_t p = 0; p < n; ++p) {
    const float length = std::hypot(field[p], field[n + p]);
    lengths[p] = std::isfinite(length) ? length : 0;
  }
  std::vector<float> sorted = lengths;
  const auto brightest = sorted.begin() + ptrdiff_t(std::llround(0.998 * double(n - 1)));
  std::nth_element(sorted.begin(), brightest, sorted.end());
  const double full = std::max(1.f, *brightest);
  Image picture{height, width, 3, PixelType::u8, std::vector<std::byte>(3 * n)};
  uint8_t* to = picture.as<uint8_t>();
  for (size_t p = 0; p < n; ++p, to += 3) {
    if (lengths[p] == 0) continue;
    const std::array<double, 3> colour = colour_of_direction(field[p], field[n + p]);
    const double brightness = 255 * std::min(1., lengths[p] / full);
    for (size_t c = 0; c < 3; ++c)
      to[c] = uint8_t(std::lround(brightness * colour[c]));
  }
  return picture;
}

}  // namespace basin

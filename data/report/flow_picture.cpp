#include "data/report/flow_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// The length of vector p of a field; 0 if it is not finite.
float length_of(const std::vector<float>& field, size_t p) {
  const float length = std::hypot(field[p], field[field.size() / 2 + p]);
  return std::isfinite(length) ? length : 0;
}

}  // namespace

std::array<double, 3> colour_of_direction(double x, double y) {
  const double hue = std::atan2(y, x) / (std::numbers::pi / 3);
  std::array<double, 3> colour;
  for (int c = 0; c < 3; ++c) {  // each of red, green and blue is full within 60 degrees of its own hue
    const double distance = std::abs(std::remainder(hue - 2 * c, 6));
    colour[size_t(c)] = std::clamp(2 - distance, 0., 1.);
  }
  return colour;
}

void FlowBrightness::add(const std::vector<float>& field) {
  for (size_t p = 0; p < field.size() / 2; ++p)
    is_second_ ? lengths_.add_lower(length_of(field, p)) : lengths_.add_upper(length_of(field, p));
}

void FlowBrightness::end_pass() {
  BASIN_CHECK(int64_t(lengths_.count()) == vectors_ && vectors_ > 0, lengths_.count(), " of ", vectors_, " vectors");
  const auto rank = size_t(std::llround(0.998 * double(vectors_ - 1)));
  lengths_.choose({rank, rank, rank, rank});
  is_second_ = true;
}

double FlowBrightness::full_length() const { return std::max(1.f, lengths_.values()[0]); }

Image flow_picture(int height, int width, const std::vector<float>& field, double full_length) {
  const size_t n = size_t(height) * size_t(width);
  BASIN_CHECK(field.size() == 2 * n && n > 0, field.size(), " numbers for ", width, " x ", height);
  Image picture{height, width, 3, PixelType::u8, std::vector<std::byte>(3 * n)};
  uint8_t* to = picture.as<uint8_t>();
  for (size_t p = 0; p < n; ++p, to += 3) {
    const float length = length_of(field, p);
    if (length == 0) continue;
    const std::array<double, 3> colour = colour_of_direction(field[p], field[n + p]);
    const double brightness = 255 * std::min(1., length / full_length);
    for (size_t c = 0; c < 3; ++c)
      to[c] = uint8_t(std::lround(brightness * colour[c]));
  }
  return picture;
}

Image flow_picture(int height, int width, const std::vector<float>& field) {
  FlowBrightness brightness(int64_t(height) * width);
  brightness.add(field);
  brightness.end_pass();
  brightness.add(field);
  return flow_picture(height, width, field, brightness.full_length());
}

}  // namespace basin

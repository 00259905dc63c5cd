#include "data/dataset/normalise.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "data/dataset/order_statistics.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

std::string shortest(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

float divisor(PixelType type, const std::string& name) {
  switch (type) {
    case PixelType::u8:
      return 255;
    case PixelType::u16:
      return 65535;
    case PixelType::u32:
      refuse(name, " has 32-bit integers, for which --norm divide is undefined; use --norm percentile:1,99.8");
    default:
      return 1;
  }
}

/// Calls f with value(pixel), the raw value of `channel` as a model of `channels` channels takes it, for this image's
/// types: one loop per kind of image instead of a choice per pixel.
template <class F>
void with_values(const Image& image, int channels, int channel, F f) {
  const auto with_type = [&](auto zero) {
    using T = decltype(zero);
    const T* p = image.as<T>();
    const size_t has = size_t(image.channels);
    if (image.channels == 1)
      f([=](size_t i) { return float(p[i]); });
    else if (image.channels == channels)
      f([=, c = size_t(channel)](size_t i) { return float(p[i * has + c]); });
    else
      f([=](size_t i) { return grey_of(float(p[i * 3]), float(p[i * 3 + 1]), float(p[i * 3 + 2])); });
  };
  switch (image.type) {
    case PixelType::u8:
      return with_type(uint8_t{});
    case PixelType::u16:
      return with_type(uint16_t{});
    case PixelType::u32:
      return with_type(uint32_t{});
    case PixelType::f32:
      return with_type(float{});
  }
}

template <class V>
Affine between_percentiles(size_t n, V value, double low, double high) {
  const double at_low = low / 100 * double(n - 1), at_high = high / 100 * double(n - 1);
  const size_t i = size_t(at_low), j = size_t(at_high);
  const std::array<float, 4> v = order_statistics(n, value, {i, std::min(i + 1, n - 1), j, std::min(j + 1, n - 1)});
  const auto between = [](double a, double b, double t) { return a + t * (b - a); };
  const double from = between(v[0], v[1], at_low - double(i)), to = between(v[2], v[3], at_high - double(j));
  return {float(from), float(to - from)};
}

}  // namespace

Normalisation parse_normalisation(const std::string& text) {
  if (text == "divide") return {};
  if (text == "none") return {Normalisation::Kind::none};
  Normalisation n{Normalisation::Kind::percentile};
  const std::string prefix = "percentile:";
  const size_t comma = text.find(',');
  const char* end = text.data() + text.size();
  if (text.rfind(prefix, 0) == 0 && comma != text.npos) {
    const auto low = std::from_chars(text.data() + prefix.size(), text.data() + comma, n.low);
    const auto high = std::from_chars(text.data() + comma + 1, end, n.high);
    const bool parsed =
        low.ec == std::errc() && low.ptr == text.data() + comma && high.ec == std::errc() && high.ptr == end;
    if (parsed && 0 <= n.low && n.low < n.high && n.high <= 100) return n;
  }
  refuse("--norm ", text, ": expected divide, percentile:LOW,HIGH (0 <= LOW < HIGH <= 100) or none");
}

std::string to_string(const Normalisation& n) {
  if (n.kind == Normalisation::Kind::divide) return "divide";
  if (n.kind == Normalisation::Kind::none) return "none";
  return "percentile:" + shortest(n.low) + ',' + shortest(n.high);
}

Source::Source(Image image, int channels, const Normalisation& norm, const std::string& name)
    : image_(std::move(image)), channels_(channels), affine_(size_t(channels)) {
  const int has = image_.channels;
  if (has != channels && !(has == 1 && channels == 3) && !(has == 3 && channels == 1))
    refuse(name, " has ", has, " channels, but the model takes ", channels,
           "; only grey and RGB are converted into each other");
  if (norm.kind == Normalisation::Kind::divide)
    std::fill(affine_.begin(), affine_.end(), Affine{0, divisor(image_.type, name)});
  if (norm.kind != Normalisation::Kind::percentile) return;
  const size_t pixels = size_t(image_.height) * size_t(image_.width);
  for (int c = 0; c < channels; ++c) {
    if (c > 0 && has == 1)
      affine_[size_t(c)] = affine_[0];
    else
      with_values(image_, channels, c,
                  [&](auto value) { affine_[size_t(c)] = between_percentiles(pixels, value, norm.low, norm.high); });
  }
}

void Source::row(int channel, int y, int x0, int n, float* to) const {
  const Affine a = affine_[size_t(channel)];
  const size_t first = size_t(y) * size_t(image_.width) + size_t(x0);
  if (!(a.span > 0)) {
    std::fill(to, to + n, 0.f);
    return;
  }
  with_values(image_, channels_, channel, [&](auto value) {
    for (int x = 0; x < n; ++x)
      to[x] = (value(first + size_t(x)) - a.offset) / a.span;
  });
}

}  // namespace basin

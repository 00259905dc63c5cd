#include "data/dataset/normalise.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include "data/dataset/order_statistics.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

std::string shortest(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

/// The smallest and the largest value of all channels.
std::pair<double, double> range_of(const Image& image) {
  return with_pixels(image.type, [&](auto zero) {
    const auto* p = image.as<decltype(zero)>();
    const size_t n = size_t(image.height) * size_t(image.width) * size_t(image.channels);
    const auto [least, most] = std::minmax_element(p, p + n);
    return std::pair<double, double>(*least, *most);
  });
}

constexpr const char* remedy = "; use --norm percentile:1,99.8";

/// The divisor of "divide". The element type gives the value of white only if the values use the range of the type.
float divisor(Image& image, const std::string& name) {
  const auto [least, most] = range_of(image);
  switch (image.type) {
    case PixelType::u8:
      return 255;
    case PixelType::u16:
      if (most > 0 && most <= 255)
        refuse(name, " has 16-bit values, but none above ", most, ", so --norm divide, by 65535, would make it black",
               remedy, ", or save it as 8-bit");
      if (most > 0 && most < 4096)
        image.notes.push_back("16-bit values of at most " + std::to_string(int(most)) +
                              " become dark when --norm divide divides by 65535; consider --norm percentile:1,99.8");
      return 65535;
    case PixelType::u32:
      refuse(name, " has 32-bit integers, for which --norm divide is undefined", remedy);
    default:
      if (least < -0.5 || most > 1.5)
        refuse(name, " has floats from ", least, " to ", most,
               ", for which --norm divide is undefined: it needs floats ", "between 0 and 1", remedy);
      return 1;
  }
}

/// Calls f(value), where value(pixel) is the raw value of `channel` as a model with `channels` channels takes it.
/// Instantiated for each kind of image, so that there is one loop per kind instead of a choice per pixel.
template <class F>
void with_values(const Image& image, int channels, int channel, F f) {
  with_pixels(image.type, [&](auto zero) {
    using T = decltype(zero);
    const T* p = image.as<T>();
    const size_t has = size_t(image.channels);
    if (image.channels == 1)
      f([=](size_t i) { return float(p[i]); });
    else if (image.channels == channels)
      f([=, c = size_t(channel)](size_t i) { return float(p[i * has + c]); });
    else
      f([=](size_t i) { return grey_of(float(p[i * 3]), float(p[i * 3 + 1]), float(p[i * 3 + 2])); });
  });
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

void check_channels(int has, int wanted, const std::string& name) {
  if (has != wanted && !(has == 1 && wanted == 3) && !(has == 3 && wanted == 1))
    refuse(name, " has ", has, " channels, but the model takes ", wanted,
           "; only grey and RGB are converted to each other");
}

Source::Source(Image image, int channels, const Normalisation& norm, const std::string& name)
    : image_(std::move(image)),
      channels_(channels),
      limited_(norm.kind == Normalisation::Kind::percentile),
      affine_(size_t(channels)) {
  check_channels(image_.channels, channels, name);
  if (norm.kind == Normalisation::Kind::divide)
    std::fill(affine_.begin(), affine_.end(), Affine{0, divisor(image_, name)});
  if (norm.kind != Normalisation::Kind::percentile) return;
  const size_t pixels = size_t(image_.height) * size_t(image_.width);
  for (int c = 0; c < channels; ++c) {
    if (c > 0 && image_.channels == 1)
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
  const float low = limited_ ? darkest : -std::numeric_limits<float>::infinity();
  const float high = limited_ ? brightest : std::numeric_limits<float>::infinity();
  with_values(image_, channels_, channel, [&](auto value) {
    for (int x = 0; x < n; ++x)
      to[x] = std::min(std::max((value(first + size_t(x)) - a.offset) / a.span, low), high);
  });
}

}  // namespace basin

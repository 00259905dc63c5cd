#include "data/normalise.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "kernels/platform.h"

namespace basin {
namespace {

std::string shortest(double v) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

double divisor(PixelType type, const std::string& name) {
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

double percentile(std::vector<float>& values, double q) {
  BASIN_CHECK(!values.empty() && q >= 0 && q <= 100, values.size(), " values, q = ", q);
  const double rank = q / 100 * double(values.size() - 1);
  const size_t below = size_t(rank);
  std::nth_element(values.begin(), values.begin() + int64_t(below), values.end());
  const double a = values[below];
  if (below + 1 >= values.size() || rank == double(below)) return a;
  const double b = *std::min_element(values.begin() + int64_t(below) + 1, values.end());
  return a + (rank - double(below)) * (b - a);
}

Source::Source(Image image, int channels, const Normalisation& norm, const std::string& name)
    : image_(std::move(image)), channels_(channels), affine_(size_t(channels)) {
  const int has = image_.channels;
  if (has != channels && !(has == 1 && channels == 3) && !(has == 3 && channels == 1))
    refuse(name, " has ", has, " channels, but the model takes ", channels,
           "; only grey and RGB are converted into each other");
  if (norm.kind == Normalisation::Kind::divide) {
    const float scale = float(1 / divisor(image_.type, name));
    std::fill(affine_.begin(), affine_.end(), Affine{0, scale});
  } else if (norm.kind == Normalisation::Kind::percentile) {
    const size_t pixels = size_t(image_.height) * size_t(image_.width);
    std::vector<float> values(pixels);
    for (int c = 0; c < channels; ++c) {
      for (size_t p = 0; p < pixels; ++p)
        values[p] = raw(c, p);
      const double low = percentile(values, norm.low), high = percentile(values, norm.high);
      affine_[size_t(c)] = {float(low), high > low ? float(1 / (high - low)) : 0.f};
    }
  }
}

float Source::raw(int channel, size_t pixel) const {
  const auto value = [&](size_t i) {
    switch (image_.type) {
      case PixelType::u8:
        return float(image_.as<uint8_t>()[i]);
      case PixelType::u16:
        return float(image_.as<uint16_t>()[i]);
      case PixelType::u32:
        return float(image_.as<uint32_t>()[i]);
      default:
        return image_.as<float>()[i];
    }
  };
  const size_t has = size_t(image_.channels), first = pixel * has;
  if (image_.channels == channels_) return value(first + size_t(channel));
  if (has == 1) return value(first);
  return 0.299f * value(first) + 0.587f * value(first + 1) + 0.114f * value(first + 2);
}

void Source::row(int channel, int y, int x0, int n, float* to) const {
  const Affine a = affine_[size_t(channel)];
  const size_t first = size_t(y) * size_t(image_.width) + size_t(x0);
  for (int x = 0; x < n; ++x)
    to[x] = (raw(channel, first + size_t(x)) - a.offset) * a.scale;
}

}  // namespace basin

#include "data/dataset/normalise.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

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

/// The divisor of "divide" for values from `least` to `most`. The element type gives the value of white only if the
/// values use the range of the type.
float divisor(PixelType type, double least, double most, const std::string& name, std::vector<std::string>& notes) {
  switch (type) {
    case PixelType::u8:
      return 255;
    case PixelType::u16:
      if (most > 0 && most <= 255)
        refuse(name, " has 16-bit values, but none above ", most, ", so --norm divide, by 65535, would make it black",
               remedy, ", or save it as 8-bit");
      if (most > 0 && most < 4096)
        notes.push_back(
            "16-bit values below 4096 become dark when --norm divide divides by 65535; consider --norm "
            "percentile:1,99.8");
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

/// Calls f(value), where value(pixel) is the raw value of `channel` after conversion to the `channels` of the model. f
/// is instantiated for each kind of image, so that its loop does not decide for each pixel.
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

}  // namespace

/// The two percentiles of n values by ranks of order statistics, and what is normalised with them.
struct PercentileRanks {
  double at_low, at_high;
  std::array<size_t, 4> ranks;

  PercentileRanks(size_t n, const Normalisation& norm)
      : at_low(norm.low / 100 * double(n - 1)), at_high(norm.high / 100 * double(n - 1)) {
    const size_t i = size_t(at_low), j = size_t(at_high);
    ranks = {i, std::min(i + 1, n - 1), j, std::min(j + 1, n - 1)};
  }
  Affine affine(const std::array<float, 4>& v) const {
    const auto between = [](double a, double b, double t) { return a + t * (b - a); };
    const double from = between(v[0], v[1], at_low - double(ranks[0]));
    const double to = between(v[2], v[3], at_high - double(ranks[2]));
    return {float(from), float(to - from)};
  }
};

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

ChannelsOfImage channels_of(const Image& image) {
  return {image.channels, image.offers_channels, image.separate_channels};
}

void check_channels(const ChannelsOfImage& has, int wanted, const std::string& name) {
  if (has.count == wanted || (has.count == 1 && wanted == 3)) return;
  if (has.count == 3 && wanted == 1 && !has.separate) return;
  const std::string number = std::to_string(wanted);
  const std::string choice =
      has.offered ? "; choose " + number + " of them with --channel" : "; give it an image of " + number + " of them";
  refuse(name, " has ", has.count, has.count == 1 ? " channel" : " channels", ", but the model takes ", wanted,
         "; only grey and RGB are converted to each other", has.count > wanted ? choice : "");
}

Source::Source(Image image, int channels, const Normalisation& norm, const std::string& name)
    : image_(std::move(image)),
      channels_(channels),
      limited_(norm.kind == Normalisation::Kind::percentile),
      affine_(size_t(channels)) {
  check_channels(channels_of(image_), channels, name);
  if (norm.kind == Normalisation::Kind::divide) {
    const auto [least, most] = range_of(image_);
    std::fill(affine_.begin(), affine_.end(), Affine{0, divisor(image_.type, least, most, name, image_.notes)});
  }
  if (norm.kind != Normalisation::Kind::percentile) return;
  const size_t pixels = size_t(image_.height) * size_t(image_.width);
  const PercentileRanks percentiles(pixels, norm);
  for (int c = 0; c < channels; ++c) {
    if (c > 0 && image_.channels == 1)
      affine_[size_t(c)] = affine_[0];
    else
      with_values(image_, channels, c, [&](auto value) {
        affine_[size_t(c)] = percentiles.affine(order_statistics(pixels, value, percentiles.ranks));
      });
  }
}

Source::Source(Image part, int channels, const Normalisation& norm, const std::vector<Affine>& of_whole)
    : image_(std::move(part)),
      channels_(channels),
      limited_(norm.kind == Normalisation::Kind::percentile),
      affine_(of_whole) {
  BASIN_CHECK(affine_.size() == size_t(channels), affine_.size(), " channels");
}

double Source::grey_span() const {
  if (!limited_ || image_.type == PixelType::f32) return 0;
  double most = 0;
  for (const Affine& a : affine_)
    most = std::max(most, double(a.span));
  return most;
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

struct NormalisationSurvey::Percentiles {
  RankFinder finder;
  std::optional<PercentileRanks> ranks;  // after the first pass
};

NormalisationSurvey::NormalisationSurvey(int channels, const Normalisation& norm, const std::string& name)
    : channels_(channels),
      norm_(norm),
      name_(name),
      low_(std::numeric_limits<double>::infinity()),
      high_(-low_),
      percentiles_(norm.kind == Normalisation::Kind::percentile ? size_t(channels) : 0) {}

NormalisationSurvey::~NormalisationSurvey() = default;

void NormalisationSurvey::add(const Image& part) {
  check_channels(channels_of(part), channels_, name_);
  type_ = part.type, image_channels_ = part.channels;
  if (norm_.kind == Normalisation::Kind::divide) {
    const auto [least, most] = range_of(part);
    low_ = std::min(low_, least), high_ = std::max(high_, most);
  }
  const size_t pixels = size_t(part.height) * size_t(part.width);
  for (size_t c = 0; c < percentiles_.size() && (c == 0 || part.channels > 1); ++c)
    with_values(part, channels_, int(c), [&](auto value) {
      RankFinder& finder = percentiles_[c].finder;
      if (!percentiles_[c].ranks)
        for (size_t i = 0; i < pixels; ++i)
          finder.add_upper(value(i));
      else
        for (size_t i = 0; i < pixels; ++i)
          finder.add_lower(value(i));
    });
}

void NormalisationSurvey::end_pass() {
  for (Percentiles& p : percentiles_) {
    if (p.ranks || p.finder.count() == 0) continue;
    p.ranks.emplace(size_t(p.finder.count()), norm_);
    p.finder.choose(p.ranks->ranks);
  }
}

std::vector<Affine> NormalisationSurvey::result(std::vector<std::string>& notes) const {
  std::vector<Affine> affine(static_cast<size_t>(channels_));
  if (norm_.kind == Normalisation::Kind::divide)
    std::fill(affine.begin(), affine.end(), Affine{0, divisor(type_, low_, high_, name_, notes)});
  for (size_t c = 0; c < percentiles_.size(); ++c) {
    const Percentiles& p = percentiles_[image_channels_ == 1 ? 0 : c];
    affine[c] = p.ranks->affine(p.finder.values());
  }
  return affine;
}

}  // namespace basin

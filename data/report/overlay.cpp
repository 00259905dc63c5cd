#include "data/report/overlay.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "data/dataset/order_statistics.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

using Colour = std::array<uint8_t, 3>;
constexpr const auto& palette = object_palette;
constexpr int reach = 6;  // px: objects this close count as neighbours

/// Calls f(grey), where grey(i) is the value of pixel i, or infinity if it is not finite.
template <class F>
void with_grey(const Image& image, const F& f) {
  with_pixels(image.type, [&](auto zero) {
    using T = decltype(zero);
    f([at = image.as<T>(), channels = size_t(image.channels)](size_t i) {
      const T* p = at + i * channels;
      double v = p[0];
      if (channels == 2) v = 0.5 * (double(p[0]) + double(p[1]));
      if (channels >= 3) v = grey_of(double(p[0]), double(p[1]), double(p[2]));
      return std::isfinite(float(v)) ? float(v) : HUGE_VALF;
    });
  });
}

/// The image as stretched 8-bit grey.
std::vector<uint8_t> stretched(const Image& image) {
  const size_t n = size_t(image.height) * size_t(image.width);
  std::vector<uint8_t> out(n);
  with_grey(image, [&](auto grey) {
    size_t finite = 0;
    for (size_t p = 0; p < n; ++p)
      finite += grey(p) < HUGE_VALF;
    if (finite == 0) return;
    const auto rank = [&](double q) { return size_t(std::lround(q * double(finite - 1))); };
    const std::array<float, 4> v = order_statistics(n, grey, {0, rank(0.005), rank(0.998), finite - 1});
    double lo = v[1], hi = v[2];
    if (lo == hi) lo = v[0], hi = v[3];  // nearly all pixels are equal
    const double scale = hi > lo ? 255 / (hi - lo) : 0;
    for (size_t p = 0; p < n; ++p)
      if (const float g = grey(p); g < HUGE_VALF)
        out[p] = uint8_t(std::lround(std::clamp((double(g) - lo) * scale, 0.0, 255.0)));
  });
  return out;
}

/// Pairs (a < b) of objects within `reach` of each other, each once.
std::vector<std::pair<int32_t, int32_t>> neighbours(const Labels& labels) {
  constexpr std::array<std::array<int, 2>, 4> directions{{{1, 0}, {0, 1}, {1, 1}, {-1, 1}}};
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto keep_each_once = [&] {
    std::sort(pairs.begin(), pairs.end());
    pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  };
  size_t room = size_t(1) << 22;  // number of pairs to collect before removing duplicates
  for (int y = 0; y < labels.height; ++y) {
    if (pairs.size() > room) {
      keep_each_once();
      room = std::max(room, 2 * pairs.size());
    }
    for (int x = 0; x < labels.width; ++x) {
      const int32_t from = labels(y, x);
      if (from == 0) continue;
      for (const auto& [dx, dy] : directions)
        for (int k = 1; k <= reach; ++k) {
          const int u = x + k * dx, v = y + k * dy;
          if (u < 0 || u >= labels.width || v >= labels.height) break;
          const int32_t to = labels(v, u);
          if (to == 0) continue;
          if (to != from) pairs.push_back({std::min(from, to), std::max(from, to)});
          break;
        }
    }
  }
  keep_each_once();
  return pairs;
}

bool on_outline(const Labels& labels, int y, int x) {
  const int32_t id = labels(y, x);
  return (x > 0 && labels(y, x - 1) != id) || (x + 1 < labels.width && labels(y, x + 1) != id) ||
         (y > 0 && labels(y - 1, x) != id) || (y + 1 < labels.height && labels(y + 1, x) != id);
}

/// The image in grey with outlines; `tint`, of 256: weight of the object's colour inside it.
Image painted(const Image& image, const Labels& labels, int tint) {
  BASIN_CHECK(image.height == labels.height && image.width == labels.width, "image ", image.width, " x ", image.height,
              ", labels ", labels.width, " x ", labels.height);
  const std::vector<uint8_t> grey = stretched(image), colour = object_colours(labels);
  Image out{image.height, image.width, 3, PixelType::u8, std::vector<std::byte>(3 * grey.size())};
  uint8_t* to = out.as<uint8_t>();
  size_t p = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x, ++p, to += 3) {
      const int32_t id = labels.ids[p];
      const int share = id == 0 ? 0 : on_outline(labels, y, x) ? 256 : tint;
      const Colour& pure = palette[colour[size_t(id)]];
      for (int c = 0; c < 3; ++c)
        to[c] = uint8_t((grey[p] * (256 - share) + pure[size_t(c)] * share) / 256);
    }
  return out;
}

struct Paint {
  const Colour* colour = nullptr;
  int share = 0;  // of 256
};

}  // namespace

// Greedy, in the order of the ids: the colour that the fewest coloured neighbours have, then the one least used so
// far.
std::vector<uint8_t> object_colours(const Labels& labels) {
  const std::vector<std::pair<int32_t, int32_t>> pairs = neighbours(labels);
  std::vector<std::array<int, palette.size()>> taken(size_t(labels.count) + 1);
  std::vector<std::vector<int32_t>> later(size_t(labels.count) + 1);
  for (const auto& [a, b] : pairs)
    later[size_t(a)].push_back(b);
  std::array<int, palette.size()> used{};
  std::vector<uint8_t> colour(size_t(labels.count) + 1);
  for (size_t k = 1; k < colour.size(); ++k) {
    size_t best = 0;
    for (size_t c = 1; c < palette.size(); ++c)
      if (std::pair(taken[k][c], used[c]) < std::pair(taken[k][best], used[best])) best = c;
    colour[k] = uint8_t(best);
    ++used[best];
    for (int32_t b : later[k])
      ++taken[size_t(b)][best];
  }
  return colour;
}

Image overlay_errors(const Image& image, const Labels& truth, const Labels& prediction, const MatchedObjects& matched) {
  BASIN_CHECK(image.height == truth.height && image.width == truth.width && truth.height == prediction.height &&
                  truth.width == prediction.width,
              "image ", image.width, " x ", image.height, ", truth ", truth.width, " x ", truth.height, ", prediction ",
              prediction.width, " x ", prediction.height);
  BASIN_CHECK(int(matched.truth.size()) > truth.count && int(matched.prediction.size()) > prediction.count,
              "matches of ", matched.truth.size(), " and ", matched.prediction.size(), " objects");
  const Colour &missed = palette[0], &found = palette[2], &wrong = palette[5];
  const std::vector<uint8_t> grey = stretched(image);
  Image out{image.height, image.width, 3, PixelType::u8, std::vector<std::byte>(3 * grey.size())};
  uint8_t* to = out.as<uint8_t>();
  size_t p = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x, ++p, to += 3) {
      const int32_t t = truth.ids[p], q = prediction.ids[p];
      const bool is_missed = t != 0 && matched.truth[size_t(t)] == 0;
      Paint paint;
      if (q != 0)
        paint = {matched.prediction[size_t(q)] ? &found : &wrong, on_outline(prediction, y, x) ? 256 : 90};
      else if (is_missed)
        paint = {&missed, 90};
      if (is_missed && on_outline(truth, y, x)) paint = {&missed, 256};
      for (int c = 0; c < 3; ++c)
        to[c] = uint8_t(
            (grey[p] * (256 - paint.share) + (paint.colour ? (*paint.colour)[size_t(c)] : 0) * paint.share) / 256);
    }
  return out;
}

Image overlay(const Image& image, const Labels& labels) { return painted(image, labels, 90); }

Image outlined(const Image& image, const Labels& labels) { return painted(image, labels, 0); }

}  // namespace basin

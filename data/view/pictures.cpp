#include "data/view/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "data/report/flow_picture.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// The channel of which value(i) gives pixel i, rounded to 16 bits.
template <class V>
ViewPicture rounded(std::string name, int height, int width, V value) {
  const size_t n = size_t(height) * size_t(width);
  double low = value(0), high = low;
  for (size_t i = 1; i < n; ++i)
    low = std::min(low, double(value(i))), high = std::max(high, double(value(i)));
  if (high == low) high = low + 1;
  ViewPicture picture{
      std::move(name), {height, width, 1, PixelType::u16, std::vector<std::byte>(n * sizeof(uint16_t))}, low, high};
  uint16_t* to = picture.image.as<uint16_t>();
  for (size_t i = 0; i < n; ++i)
    to[i] = uint16_t(std::lround((value(i) - low) / (high - low) * 65535));
  return picture;
}

double greatest(PixelType type) { return type == PixelType::u8 ? 255 : 65535; }

ViewPicture channel_of(const Image& image, int channel, std::string name) {
  return with_pixels(image.type, [&](auto zero) {
    using T = decltype(zero);
    const T* from = image.as<T>() + channel;
    const size_t step = size_t(image.channels);
    if constexpr (sizeof(T) <= 2) {
      const size_t n = size_t(image.height) * size_t(image.width);
      ViewPicture picture{std::move(name),
                          {image.height, image.width, 1, image.type, std::vector<std::byte>(n * sizeof(T))},
                          0,
                          greatest(image.type)};
      T* to = picture.image.as<T>();
      for (size_t i = 0; i < n; ++i)
        to[i] = from[i * step];
      return picture;
    } else {
      return rounded(std::move(name), image.height, image.width, [&](size_t i) { return double(from[i * step]); });
    }
  });
}

}  // namespace

std::vector<ViewPicture> pictures_of(const Image& image) {
  const std::vector<std::string>& names = image.stack.channel_names;
  const bool small = image.type == PixelType::u8 || image.type == PixelType::u16;
  if (small && image.channels == 3 && names.empty())
    return {{"image", image, 0, greatest(image.type), image.type != PixelType::u8}};
  if (image.channels == 1) return {channel_of(image, 0, "image")};
  std::vector<ViewPicture> pictures;
  for (int c = 0; c < image.channels; ++c)
    pictures.push_back(
        channel_of(image, c, names.size() == size_t(image.channels) ? names[size_t(c)] : fmt::format("channel {}", c)));
  return pictures;
}

std::vector<ViewPicture> pictures_of_map(const std::string& name, const Array& map, const std::string& where) {
  constexpr int64_t max_side = 1 << 20;
  if (map.shape.size() != 3 || map.size() == 0 || map.shape[1] > max_side || map.shape[2] > max_side)
    refuse(where, ": expected an array [channels, height, width]");
  const std::vector<float> values = map.values<float>();
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); }))
    refuse(where, ": contains values that are not finite");
  const int channels = int(map.shape[0]), height = int(map.shape[1]), width = int(map.shape[2]);
  const size_t n = size_t(height) * size_t(width);
  if (name == "field" && channels == 2) {
    Image image{height, width, 3, PixelType::u8, std::vector<std::byte>(3 * n)};
    uint8_t* to = image.as<uint8_t>();
    for (size_t i = 0; i < n; ++i) {
      const double x = values[i], y = values[n + i], brightness = std::min(1., std::hypot(x, y));
      for (const double part : colour_of_direction(x, y))
        *to++ = uint8_t(std::lround(255 * brightness * part));
    }
    return {{name, std::move(image), 0, 255, false}};
  }
  std::vector<ViewPicture> pictures;
  for (int c = 0; c < channels; ++c)
    pictures.push_back(rounded(channels == 1 ? name : fmt::format("{} {}", name, c), height, width,
                               [&](size_t i) { return double(values[size_t(c) * n + i]); }));
  return pictures;
}

Image label_picture(const Labels& labels) {
  const size_t n = labels.ids.size();
  if (labels.count <= 65535) {
    Image image{labels.height, labels.width, 1, PixelType::u16, std::vector<std::byte>(2 * n)};
    std::copy(labels.ids.begin(), labels.ids.end(), image.as<uint16_t>());
    return image;
  }
  if (labels.count >= 1 << 24) refuse("labels: more than 16,777,215 objects cannot be shown");
  Image image{labels.height, labels.width, 3, PixelType::u8, std::vector<std::byte>(3 * n)};
  uint8_t* to = image.as<uint8_t>();
  for (const int32_t id : labels.ids)
    *to++ = uint8_t(id >> 16), *to++ = uint8_t(id >> 8), *to++ = uint8_t(id);
  return image;
}

}  // namespace basin

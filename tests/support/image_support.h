#pragma once
#include <cstddef>

#include "data/files/image.h"
#include "engine/plane_file.h"

namespace basin::test {

/// The pixels of an image in a rectangle that lies in it.
inline Image cut(const Image& image, const PixelRect& r) {
  Image part{r.height, r.width, image.channels, image.type, {}};
  const size_t pixel = size_of(image.type) * size_t(image.channels);
  for (int y = r.y; y < r.y + r.height; ++y) {
    const auto from = image.pixels.begin() + std::ptrdiff_t(size_t(y * image.width + r.x) * pixel);
    part.pixels.insert(part.pixels.end(), from, from + std::ptrdiff_t(size_t(r.width) * pixel));
  }
  return part;
}

}  // namespace basin::test

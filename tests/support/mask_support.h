#pragma once
#include <string>
#include <vector>

#include "data/files/image.h"
#include "tests/support/file_support.h"

namespace basin::test {

/// Writes a mask of 2 x 3 pixels, in which these have the value and all others are 0.
inline void put_mask(const Folder& folder, const std::string& name, const std::vector<size_t>& pixels,
                     int value = 255) {
  Image mask{2, 3, 1, PixelType::u8, std::vector<std::byte>(6)};
  for (const size_t p : pixels)
    mask.pixels[p] = std::byte(value);
  write_png(folder / name, mask);
}

}  // namespace basin::test

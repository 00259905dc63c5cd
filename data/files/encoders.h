#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

namespace basin::raster {

struct Rows {
  int height = 0, width = 0, channels = 1, bits = 8;  // bits: 8 or 16; TIFF also 32
  std::function<const void*(int y)> row;              // one row in this machine's byte order, valid until the next call
};
/// Grey or RGB. Written under a temporary name and renamed, like every file.
void write_png(const std::filesystem::path&, const Rows&);
/// The bytes that write_png writes.
std::vector<std::byte> encode_png(const Rows&);
/// One channel, compressed by deflate.
void write_tiff(const std::filesystem::path&, const Rows&);

}  // namespace basin::raster

#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/plane_file.h"

namespace basin::raster {

/// Pixels per unit of length; 0: unknown.
struct Resolution {
  double columns = 0, rows = 0;
};

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

/// A grey image that is written tile by tile, together with lower resolutions. Each of these consists of every second
/// pixel of every second row of the one before, until no side is longer than 1024 pixels.
struct Pyramid {
  int height = 0, width = 0, bits = 16;  // bits: 16 or 32
  std::string description;               // as in TiffWriter::add
  Resolution resolution = {};
  /// Writes every step-th pixel of every step-th row into `to`, from pixel (step * y, step * x) on: a rectangle in
  /// pixels of the lower resolution.
  std::function<void(int step, const PixelRect&, void* to)> read;
};

/// Writes it as a TIFF of tiles of 512 x 512 pixels, compressed by deflate, with the lower resolutions as sub-images
/// (SubIFDs), where QuPath, Bio-Formats and tifffile expect them. BigTIFF if 4 GB could be too little.
void write_tiff_pyramid(const std::filesystem::path&, const Pyramid&);

/// Writes the pages of a TIFF one after the other, grey or RGB, compressed by deflate.
class TiffWriter {
 public:
  /// `big`: BigTIFF, for files beyond 4 GB.
  TiffWriter(const std::filesystem::path&, bool big);
  ~TiffWriter();

  /// The description and the resolution are stored with the first page.
  void add(const Rows&, const std::string& description = "", const Resolution& = {});
  /// Without it there will be no file.
  void commit();

 private:
  friend void write_tiff_pyramid(const std::filesystem::path&, const Pyramid&);
  struct File;
  [[noreturn]] void refuse_write() const;
  void set_grey(int height, int width, int bits);
  void describe(const std::string& description, const Resolution&);
  void add_level(const Pyramid&, int step);

  std::unique_ptr<File> file_;
};

}  // namespace basin::raster

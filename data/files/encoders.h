#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
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

/// Writes the pages of a TIFF one after the other, grey or RGB, compressed by deflate.
class TiffWriter {
 public:
  /// `big`: BigTIFF, for files beyond 4 GB.
  TiffWriter(const std::filesystem::path&, bool big);
  ~TiffWriter();

  /// A description and a resolution in pixels per unit of length (0: unknown) are stored with the first page.
  void add(const Rows&, const std::string& description = "", double pixels_per_unit = 0);
  /// Without it no file appears.
  void commit();

 private:
  struct File;
  [[noreturn]] void refuse_write() const;

  std::unique_ptr<File> file_;
};

}  // namespace basin::raster

#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace basin {

/// Pixels of an image: rows y to y + height - 1, columns x to x + width - 1.
struct PixelRect {
  int y = 0, x = 0, height = 0, width = 0;

  int64_t pixels() const { return int64_t(height) * width; }
  bool contains(int row, int column) const { return row >= y && row < y + height && column >= x && column < x + width; }
  /// This rectangle with `margin` more pixels on each side, cut off at the sides of the image.
  PixelRect grown(int margin, int image_height, int image_width) const;

  bool operator==(const PixelRect&) const = default;
};

/// Planes of an image in a scratch file, [planes][height][width], which may be larger than memory and are written and
/// read in rectangles. Elements are plain numbers of `element` bytes in this machine's byte order, initially 0. Errors,
/// such as a full disk, are one sentence with the file's name.
class PlaneFile {
 public:
  /// Opens the file. Keeps its content if `keep` is set and the file exists with the right size.
  PlaneFile(const std::filesystem::path&, int planes, int height, int width, size_t element, bool keep = false);
  /// Whether the file existed and its content was kept.
  bool kept() const { return kept_; }
  ~PlaneFile();
  PlaneFile(const PlaneFile&) = delete;
  PlaneFile& operator=(const PlaneFile&) = delete;

  /// Reads a rectangle of one plane into to [height][width].
  void read(int plane, const PixelRect&, void* to) const;
  /// Writes a rectangle whose rows begin `stride` elements apart.
  void write(int plane, const PixelRect&, const void* from, int64_t stride);
  /// Waits until everything written is on the disk, so that it survives a crash of the machine.
  void flush();
  /// Opens the file again, so that file systems of several machines show what the others have written and flushed.
  void reopen();

 private:
  void check(int plane, const PixelRect&) const;
  int64_t place_of(int plane, int y, int x) const;

  std::filesystem::path path_;
  int planes_, height_, width_;
  size_t element_;
  bool kept_ = false;
  int descriptor_ = -1;
};

}  // namespace basin

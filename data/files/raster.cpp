#include "data/files/raster.h"

#include <unistd.h>

#include <climits>
#include <cstring>
#include <new>

namespace basin::raster {
namespace fs = std::filesystem;

namespace {

enum class Format { none, png, tiff, jpeg, bmp };

Format format_of(const fs::path& path) {
  unsigned char head[8] = {};
  const File file = open_file(path);
  const size_t n = std::fread(head, 1, sizeof head, file.get());
  (void)n;  // a shorter file stays zero, which is no known type
  const auto begins = [&](const char* magic, size_t size) { return std::memcmp(head, magic, size) == 0; };
  if (begins("\x89PNG\r\n\x1a\n", 8)) return Format::png;
  for (const char* magic : {"II*\0", "MM\0*", "II+\0", "MM\0+"})
    if (begins(magic, 4)) return Format::tiff;
  if (begins("\xff\xd8\xff", 3)) return Format::jpeg;
  return begins("BM", 2) ? Format::bmp : Format::none;
}

/// f(), with memory that runs out told as any other refusal.
template <class F>
auto within_memory(const fs::path& path, F f) {
  try {
    return f();
  } catch (const std::bad_alloc&) {
    refuse(path.string(), ": is larger than this machine's memory allows");
  }
}

}  // namespace

Array read(const fs::path& path, Palette palette) {
  return within_memory(path, [&] {
    switch (format_of(path)) {
      case Format::png:
        return read_png(path, palette);
      case Format::tiff:
        return read_tiff(path, palette);
      case Format::jpeg:
        return read_jpeg(path);
      case Format::bmp:
        return read_bmp(path);
      case Format::none:
        break;
    }
    refuse(path.string(), ": is no PNG, JPEG, BMP or TIFF file");
  });
}

int count_images(const fs::path& path) { return format_of(path) == Format::tiff ? count_tiff_images(path) : 1; }

void for_each_image(const fs::path& path, const std::function<void(const Array&)>& f) {
  within_memory(path, [&] {
    if (format_of(path) == Format::tiff)
      for_each_tiff_image(path, f);
    else
      f(read(path, Palette::indices));
  });
}

Array allocate(const fs::path& path, ElementType type, int64_t height, int64_t width, int64_t channels) {
  const std::string name = path.string();
  if (height <= 0 || width <= 0) refuse(name, ": has a size of zero (", width, " x ", height, " pixels)");
  if (channels <= 0) refuse(name, ": has no channel");
  if (height > INT_MAX || width > INT_MAX || channels > INT_MAX)
    refuse(name, ": is too large (", width, " x ", height, " pixels)");
  // No compression reaches 40,000 : 1 on pixels; beyond it a few bytes of header only claim to be an image.
  const __int128 bytes = __int128(height) * width * channels * int64_t(size_of(type));
  const __int128 believable = __int128(fs::file_size(path)) * 40000 + (1 << 20);
  if (bytes > believable)
    refuse(name, ": is truncated or damaged: its header promises ", width, " x ", height,
           " pixels, more than it can hold");
  if (__int128(height) * width > max_pixels)
    refuse(name, ": has ", width, " x ", height, " pixels; Basin takes images of up to ", max_pixels,
           " pixels: cut it into parts");
  const __int128 memory = __int128(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  if (bytes > memory) refuse(name, ": is larger than this machine's memory allows (", width, " x ", height, " pixels)");
  Array a;
  a.type = type;
  a.shape = {height, width, channels};
  a.bytes.resize(size_t(bytes));
  return a;
}

void collapse_grey(Array& a) {
  if (a.type != ElementType::u8 || a.shape[2] != 3) return;
  uint8_t* p = a.as<uint8_t>();
  const size_t pixels = a.bytes.size() / 3;
  for (size_t i = 0; i < pixels; ++i) {
    if (p[3 * i] != p[3 * i + 1] || p[3 * i] != p[3 * i + 2]) return;
  }
  for (size_t i = 0; i < pixels; ++i)
    p[i] = p[3 * i];
  a.bytes.resize(pixels);
  a.shape[2] = 1;
}

}  // namespace basin::raster

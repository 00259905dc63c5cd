// The only file that knows stb_image: JPEG and BMP. It takes a truncated file for a whole one, and its versions up
// to 2.27 trust the Huffman tables, so both are checked first.
#include <climits>
#include <cstring>

#include "data/files/raster.h"

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb_image.h>

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

using Bytes = std::vector<std::byte>;

/// Walks the markers of a JPEG file.
class JpegWalk {
 public:
  explicit JpegWalk(const Bytes& bytes) : b_(bytes) {}

  /// Whether they lead to the end-of-image marker, through scans whose Huffman tables are defined and fit.
  bool is_whole() {
    size_t at = 2;
    while (at + 1 < b_.size()) {
      if (byte(at) != 0xff) return false;
      const int marker = byte(at + 1);
      if (marker == 0xff) {  // fill byte
        ++at;
        continue;
      }
      at += 2;
      if (marker == 0xd9) return true;
      if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) continue;
      if (at + 1 >= b_.size()) return false;
      const size_t end = at + (size_t(byte(at)) << 8 | size_t(byte(at + 1)));
      if (end < at + 2 || end > b_.size()) return false;
      if (marker == 0xc2) progressive_ = true;
      if (marker == 0xc4 && !read_tables(at + 2, end)) return false;
      if (marker == 0xda && !scan_is_sound(at + 2, end)) return false;
      at = marker == 0xda ? after_codes(end) : end;
    }
    return false;
  }

 private:
  int byte(size_t at) const { return int(b_[at]); }

  bool read_tables(size_t at, size_t end) {
    while (at + 17 <= end) {
      size_t codes = 0;
      for (size_t i = at + 1; i <= at + 16; ++i)
        codes += size_t(byte(i));
      const int id = byte(at);
      if (codes > 256 || (id & 0xf) > 3 || id >> 4 > 1) return false;
      defined_[id >> 4][id & 3] = true;
      at += 17 + codes;
    }
    return at == end;
  }

  bool scan_is_sound(size_t at, size_t end) const {
    if (at == end) return false;
    const size_t n = size_t(byte(at));
    if (end != at + 4 + 2 * n) return false;
    const bool first = byte(at + 1 + 2 * n) == 0;  // spectral selection starts at 0: DC
    for (size_t k = 0; k < n; ++k) {
      const int ids = byte(at + 2 + 2 * k), dc = ids >> 4, ac = ids & 15;
      if (dc > 3 || ac > 3) return false;
      if ((!progressive_ || first) && !defined_[0][dc]) return false;
      if ((!progressive_ || !first) && !defined_[1][ac]) return false;
    }
    return true;
  }

  /// The next marker that is neither a stuffed byte nor a restart.
  size_t after_codes(size_t at) const {
    for (; at + 1 < b_.size(); ++at) {
      const int next = byte(at + 1);
      if (byte(at) == 0xff && next != 0 && next != 0xff && !(next >= 0xd0 && next <= 0xd7)) break;
    }
    return at;
  }

  const Bytes& b_;
  bool defined_[2][4] = {};  // Huffman tables: DC, AC
  bool progressive_ = false;
};

uint32_t little(const Bytes& b, size_t at, int bytes) {
  uint32_t v = 0;
  for (int i = 0; i < bytes; ++i)
    v |= uint32_t(b[at + size_t(i)]) << 8 * i;
  return v;
}

/// Whether a BMP file is as long as its header promises.
bool bmp_is_whole(const Bytes& b) {
  if (b.size() < 30) return false;
  const bool core = little(b, 14, 4) == 12;
  const uint64_t width = core ? little(b, 18, 2) : little(b, 18, 4);
  const int64_t rows = core ? int64_t(little(b, 20, 2)) : int64_t(int32_t(little(b, 22, 4)));
  const uint64_t bits = little(b, core ? 24 : 28, 2), height = uint64_t(rows < 0 ? -rows : rows);
  if (width > INT_MAX || height > INT_MAX || bits > 32) return false;
  const __int128 pixels = __int128((width * bits + 31) / 32 * 4) * height;
  return pixels + little(b, 10, 4) <= __int128(b.size());
}

Array decode(const fs::path& path, const Bytes& bytes, const char* kind) {
  const std::string name = path.string();
  const auto damaged = [&](const char* why) {
    refuse(name, ": is a truncated or damaged ", kind, " file (", why, ")");
  };
  if (bytes.size() > INT_MAX) refuse(name, ": is larger than 2 GB, too large for a ", kind, " file");
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  int width = 0, height = 0, channels = 0;
  if (!stbi_info_from_memory(data, int(bytes.size()), &width, &height, &channels)) damaged(stbi_failure_reason());
  const int kept = channels < 3 ? 1 : 3;
  Array image = allocate(path, ElementType::u8, height, width, kept);
  const std::unique_ptr<stbi_uc, void (*)(void*)> pixels(
      stbi_load_from_memory(data, int(bytes.size()), &width, &height, &channels, kept), stbi_image_free);
  if (!pixels) damaged(stbi_failure_reason());
  if (height != image.shape[0] || width != image.shape[1]) damaged("its size is given twice");
  std::memcpy(image.bytes.data(), pixels.get(), image.bytes.size());
  return image;
}

}  // namespace

Array read_jpeg(const fs::path& path) {
  const Bytes bytes = read_file(path);
  if (!JpegWalk(bytes).is_whole())
    refuse(path.string(), ": is a truncated or damaged JPEG file (its markers do not lead to an end)");
  return decode(path, bytes, "JPEG");
}

Array read_bmp(const fs::path& path) {
  const Bytes bytes = read_file(path);
  if (!bmp_is_whole(bytes)) refuse(path.string(), ": is a truncated or damaged BMP file (pixels are missing)");
  Array image = decode(path, bytes, "BMP");
  if (little(bytes, little(bytes, 14, 4) == 12 ? 24 : 28, 2) <= 8) collapse_grey(image);  // grey is a palette too
  return image;
}

}  // namespace basin::raster

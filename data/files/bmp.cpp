// A BMP reader written from the public description: the headers of OS/2 1 and 2 and of Windows 3 to 5, with 1 to 32
// bits per pixel.
#include <algorithm>
#include <bit>
#include <climits>
#include <cstring>

#include "data/files/decoders.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

enum Compression : uint32_t { plain = 0, rle8 = 1, rle4 = 2, bit_fields = 3, jpeg = 4, png = 5, alpha_bit_fields = 6 };

/// A colour's bits within a pixel.
struct Field {
  uint32_t mask = 0;

  uint8_t value(uint32_t pixel) const {
    if (mask == 0) return 0;
    const int low = std::countr_zero(mask);
    const uint64_t most = mask >> low;
    return uint8_t((uint64_t((pixel & mask) >> low) * 255 + most / 2) / most);
  }
};

struct BmpHeader {
  uint32_t offset = 0, size = 0, compression = plain;
  int64_t width = 0, height = 0;  // height < 0: rows from the top
  int bits = 0;
  size_t palette_at = 0;
  Field red, green, blue;
  bool alpha = false;
};

class Bmp {
 public:
  Bmp(const fs::path& path, const std::vector<std::byte>& bytes) : path_(path), b_(bytes) {}

  Decoded read() {
    read_header();
    const int64_t rows = std::abs(h_.height);
    const bool numbers = h_.bits <= 8;
    Decoded d;
    d.pixels = allocate(path_, ElementType::u8, rows, h_.width, numbers ? 1 : 3);
    if (numbers) {
      d.bits = h_.bits < 8 ? h_.bits : 0;
      read_palette(d.palette);
    }
    if (h_.compression == rle8 || h_.compression == rle4)
      read_runs(d.pixels);
    else
      read_rows(d.pixels);
    if (h_.alpha) d.notes.push_back("its alpha channel is left out");
    return d;
  }

 private:
  template <class... A>
  [[noreturn]] void refuse_file(const A&... what) const {
    refuse(path_.string(), ": ", what...);
  }
  uint32_t number(size_t at, int bytes) const {
    if (at + size_t(bytes) > b_.size()) refuse_file("is a truncated or damaged BMP file (the header is incomplete)");
    uint32_t v = 0;
    for (int i = 0; i < bytes; ++i)
      v |= uint32_t(b_[at + size_t(i)]) << 8 * i;
    return v;
  }

  void read_header() {
    h_.offset = number(10, 4);
    h_.size = number(14, 4);
    const bool core = h_.size == 12;
    if (!core && (h_.size < 16 || h_.size > 1024)) refuse_file("is a BMP file with an unknown header");
    h_.width = core ? int64_t(number(18, 2)) : int64_t(int32_t(number(18, 4)));
    h_.height = core ? int64_t(number(20, 2)) : int64_t(int32_t(number(22, 4)));
    h_.bits = int(number(core ? 24 : 28, 2));
    h_.compression = h_.size >= 20 ? number(30, 4) : plain;
    h_.palette_at = 14 + h_.size;
    if (h_.width > INT_MAX || h_.height < -INT_MAX) refuse_file("is a truncated or damaged BMP file (invalid size)");
    check_kind(h_.size == 16 || h_.size == 64);
    const bool fields = h_.compression == bit_fields || h_.compression == alpha_bit_fields;
    if (fields) {
      h_.red.mask = number(54, 4), h_.green.mask = number(58, 4), h_.blue.mask = number(62, 4);
      h_.alpha = (h_.compression == alpha_bit_fields || h_.size >= 56) && number(66, 4) != 0;
    } else if (h_.bits == 16) {
      h_.red.mask = 0x7c00, h_.green.mask = 0x3e0, h_.blue.mask = 0x1f;
    } else if (h_.bits >= 24) {
      h_.red.mask = 0xff0000, h_.green.mask = 0xff00, h_.blue.mask = 0xff;
    }
  }

  void check_kind(bool os2) const {
    const int bits = h_.bits;
    if (bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32)
      refuse_file("is a BMP file with ", bits, " bits per pixel, which is not supported; save it as PNG");
    const bool fields = h_.compression == bit_fields || h_.compression == alpha_bit_fields;
    const bool known = h_.compression == plain || (h_.compression == rle8 && bits == 8) ||
                       (h_.compression == rle4 && bits == 4) || (fields && !os2 && (bits == 16 || bits == 32));
    if (!known)
      refuse_file("is a BMP file with compression ", h_.compression, " of ", bits,
                  " bits per pixel, which is not supported; save it as PNG");
    if (h_.height < 0 && (h_.compression == rle8 || h_.compression == rle4))
      refuse_file("is a damaged BMP file (compressed rows stored top-down)");
  }

  void read_palette(std::vector<Colour>& palette) const {
    const size_t entry = h_.size == 12 ? 3 : 4, most = size_t(1) << h_.bits;
    const size_t said = h_.size >= 40 ? number(46, 4) : 0;
    if (h_.offset < h_.palette_at) refuse_file("is a damaged BMP file (its pixels overlap its header)");
    const size_t held = (std::min<size_t>(h_.offset, b_.size()) - std::min(h_.palette_at, b_.size())) / entry;
    palette.resize(std::min({said ? said : most, most, held}));
    for (size_t i = 0; i < palette.size(); ++i) {
      const std::byte* c = b_.data() + h_.palette_at + i * entry;
      palette[i] = {uint8_t(c[2]), uint8_t(c[1]), uint8_t(c[0])};
    }
    if (palette.empty()) refuse_file("is a damaged BMP file (the palette is missing)");
  }

  uint8_t* row_of(Array& to, int64_t row) const {
    const int64_t y = h_.height < 0 ? row : to.shape[0] - 1 - row;
    return to.as<uint8_t>() + size_t(y * to.shape[1] * to.shape[2]);
  }

  void read_rows(Array& to) const {
    const uint64_t stride = (uint64_t(h_.width) * uint64_t(h_.bits) + 31) / 32 * 4;
    if (__int128(stride) * to.shape[0] + h_.offset > __int128(b_.size()))
      refuse_file("is a truncated or damaged BMP file (pixels are missing)");
    for (int64_t row = 0; row < to.shape[0]; ++row) {
      const std::byte* from = b_.data() + h_.offset + size_t(row) * stride;
      uint8_t* out = row_of(to, row);
      if (h_.bits <= 8) {
        unpack(from, h_.bits, h_.width, ElementType::u8, reinterpret_cast<std::byte*>(out));
        continue;
      }
      const int bytes = h_.bits / 8;
      for (int64_t x = 0; x < h_.width; ++x, from += bytes) {
        uint32_t pixel = 0;
        for (int i = 0; i < bytes; ++i)
          pixel |= uint32_t(from[i]) << 8 * i;
        *out++ = h_.red.value(pixel), *out++ = h_.green.value(pixel), *out++ = h_.blue.value(pixel);
      }
    }
  }

  /// Run-length encoding: pairs of a count and a value; a count of 0 begins a command: end of row, end of image, a
  /// move, or literal pixels. Skipped pixels are 0. The command at the end may be missing.
  void read_runs(Array& to) const {
    size_t at = h_.offset;
    int64_t x = 0, row = 0;
    const int64_t height = to.shape[0], width = to.shape[1];
    const auto next = [&]() -> unsigned {
      if (at >= b_.size()) refuse_file("is a truncated or damaged BMP file (pixels are missing)");
      return unsigned(b_[at++]);
    };
    const auto put = [&](unsigned value) {
      if (x < width && row < height) row_of(to, row)[x] = uint8_t(value);
      ++x;
    };
    const auto nibble = [&](unsigned pair, unsigned i) { return i % 2 == 0 ? pair >> 4 : pair & 15; };
    const auto is_complete = [&] { return row >= height || (row == height - 1 && x >= width); };
    for (;;) {
      if (at + 1 >= b_.size() && is_complete()) return;  // only the mark of the end is missing
      const unsigned count = next(), value = next();
      if (count > 0) {
        for (unsigned i = 0; i < count; ++i)
          put(h_.compression == rle8 ? value : nibble(value, i));
      } else if (value == 0) {
        x = 0, ++row;
      } else if (value == 1) {
        return;
      } else if (value == 2) {
        x += next(), row += next();
      } else {
        const size_t begin = at;
        unsigned pair = 0;
        for (unsigned i = 0; i < value; ++i) {
          if (h_.compression == rle8 || i % 2 == 0) pair = next();
          put(h_.compression == rle8 ? pair : nibble(pair, i));
        }
        at += (at - begin) % 2;
      }
    }
  }

  const fs::path& path_;
  const std::vector<std::byte>& b_;
  BmpHeader h_;
};

}  // namespace

Decoded read_bmp(const fs::path& path) {
  const std::vector<std::byte> bytes = read_file(path);
  return Bmp(path, bytes).read();
}

}  // namespace basin::raster

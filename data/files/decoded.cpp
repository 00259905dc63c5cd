#include "data/files/decoded.h"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "kernels/runtime/platform.h"

namespace basin::raster {
namespace fs = std::filesystem;
namespace {

const char* turn_name(int orientation) {
  static const char* const names[] = {"mirrored left to right",
                                      "turned by 180 degrees",
                                      "mirrored top to bottom",
                                      "mirrored at its diagonal",
                                      "turned by 90 degrees clockwise",
                                      "mirrored at its other diagonal",
                                      "turned by 90 degrees counter-clockwise"};
  return names[orientation - 2];
}

void turn(const fs::path& path, Decoded& d) {
  if (d.orientation == 1) return;
  if (d.is_part) refuse(path.string(), ": is too large to be turned as its orientation tag says; save it upright");
  d.pixels = turned(d.pixels, d.orientation);
  d.notes.push_back(std::string(turn_name(d.orientation)) + ", as its orientation tag says");
  d.orientation = 1;
}

/// Which numbers below 65,536 occur.
std::vector<bool> numbers_in(const Array& pixels) {
  std::vector<bool> used(size_t(1) << 16);
  with_element(pixels.type, [&](auto zero) {
    const auto* p = pixels.as<decltype(zero)>();
    for (int64_t i = 0, n = pixels.size(); i < n; ++i)
      used[size_t(p[i]) & 65535] = true;
  });
  return used;
}

int luma(Colour c) { return 299 * c.red + 587 * c.green + 114 * c.blue; }

/// Whether the brightness of consecutive colours rises throughout, in small steps. `full`: the largest component.
bool rises(std::span<const Colour> colours, int full) {
  const int step = std::max(1, 16 * 256 / int(colours.size())) * (full / 255);
  for (size_t i = 1; i < colours.size(); ++i) {
    const Colour a = colours[i - 1], b = colours[i];
    if (luma(b) < luma(a) - 2000 * (full / 255)) return false;
    if (std::max({std::abs(a.red - b.red), std::abs(a.green - b.green), std::abs(a.blue - b.blue)}) > step)
      return false;
  }
  return luma(colours.back()) > luma(colours.front()) + 20000 * (full / 255);
}

/// Whether the palette is a look-up table that only displays intensities. Those of coloured pictures jump. A few
/// numbers at both ends may have colours that mark saturated pixels.
bool displays_intensities(const std::vector<Colour>& palette, int full) {
  if (palette.size() < 64) return false;
  const size_t few = palette.size() / 32;
  const auto marks = [&](size_t i) { return !palette[i].is_grey(); };
  size_t begin = 0, end = palette.size();
  while (begin < few && marks(begin))
    ++begin;
  while (palette.size() - end < few && marks(end - 1))
    --end;
  const std::span<const Colour> all(palette);
  return rises(all, full) || rises(all.subspan(begin, end - begin), full);
}

/// Whether the palette gives each number the grey of this number, or of its share of the whole range.
bool is_plain(const std::vector<Colour>& palette, int full) {
  const int64_t last = int64_t(palette.size()) - 1;
  const auto is = [&](auto grey_of_number) {
    for (int64_t i = 0; i <= last; ++i)
      if (!palette[size_t(i)].is_grey() || !grey_of_number(i, palette[size_t(i)].red)) return false;
    return true;
  };
  return is([](int64_t i, int64_t grey) { return grey == i; }) ||
         (last >= 63 &&
          is([&](int64_t i, int64_t grey) { return std::abs(grey * last - i * full) <= full / 255 * last; }));
}

/// Whether the palette is an inverted look-up table.
bool is_inverted_ramp(const std::vector<Colour>& palette, int full) {
  if (int64_t(palette.size()) != int64_t(full) + 1) return false;
  for (size_t i = 0; i < palette.size(); ++i)
    if (!palette[i].is_grey() || palette[i].red != full - int(i)) return false;
  return true;
}

/// The colours of the numbers as RGB, or as grey if the whole palette is grey.
Array coloured(const fs::path& path, const Decoded& d) {
  const std::vector<bool> used = numbers_in(d.pixels);
  for (size_t i = d.palette.size(); i < used.size(); ++i)
    if (used[i])
      refuse(path.string(), ": is a damaged image: it has pixels of colour ", i, ", but its palette ends at ",
             d.palette.size() - 1);
  const bool grey = std::all_of(d.palette.begin(), d.palette.end(), [](Colour c) { return c.is_grey(); });
  const ElementType type = d.colour_bits == 8 ? ElementType::u8 : ElementType::u16;
  Array image = allocate(path, type, d.pixels.shape[0], d.pixels.shape[1], grey ? 1 : 3);
  with_element(type, [&](auto component) {
    using T = decltype(component);
    T* out = image.as<T>();
    with_element(d.pixels.type, [&](auto zero) {
      const auto* p = d.pixels.as<decltype(zero)>();
      for (int64_t i = 0, n = d.pixels.size(); i < n; ++i) {
        const Colour c = d.palette[size_t(p[i]) & 65535];
        *out++ = T(c.red);
        if (!grey) *out++ = T(c.green), *out++ = T(c.blue);
      }
    });
  });
  return image;
}

/// The largest value of unsigned pixels.
uint64_t highest(const Decoded& d) { return (uint64_t(1) << (d.bits ? d.bits : int(8 * size_of(d.pixels.type)))) - 1; }

bool is_unsigned(ElementType type) {
  return type == ElementType::u8 || type == ElementType::u16 || type == ElementType::u32;
}

void invert(Decoded& d) {
  with_element(d.pixels.type, [&](auto zero) {
    using T = decltype(zero);
    T* p = d.pixels.as<T>();
    const T white = T(highest(d));
    for (int64_t i = 0, n = d.pixels.size(); i < n; ++i)
      p[i] = T(white - p[i]);
  });
  d.white_is_zero = false;
}

/// Stretches numbers of fewer than 8 bits to the full range of 8.
void stretch(Decoded& d) {
  if (d.bits == 0 || d.bits >= 8) return;
  uint8_t* p = d.pixels.as<uint8_t>();
  const int white = int(highest(d));
  for (int64_t i = 0, n = d.pixels.size(); i < n; ++i)
    p[i] = uint8_t(int(p[i]) * 255 / white);
  d.bits = 0;
}

/// Which number means background if the palette's number 0 is not black.
std::optional<size_t> black_number(const fs::path& path, const Decoded& d) {
  const std::vector<bool> used = numbers_in(d.pixels);
  std::vector<size_t> black;
  for (size_t i = 0; i < std::min(used.size(), d.palette.size()); ++i)
    if (used[i] && d.palette[i] == Colour{}) black.push_back(i);
  if (black.empty()) return std::nullopt;
  if (black.size() > 1)
    refuse(path.string(), ": in its palette the numbers ", black[0], " and ", black[1], " are black",
           " but 0 is not, so the background is ambiguous; save the labels as grey values");
  return black[0];
}

}  // namespace

Array allocate(const fs::path& path, ElementType type, int64_t height, int64_t width, int64_t channels,
               bool is_sparse) {
  const std::string name = path.string();
  if (height <= 0 || width <= 0) refuse(name, ": has a size of zero (", width, " x ", height, " pixels)");
  if (channels <= 0) refuse(name, ": has no channel");
  if (height > INT_MAX || width > INT_MAX || channels > INT_MAX)
    refuse(name, ": is too large (", width, " x ", height, " pixels)");
  // No compression reaches 40,000 : 1 on pixels; a header that claims more is damaged or hostile.
  const __int128 bytes = __int128(height) * width * channels * int64_t(size_of(type));
  if (!is_sparse && fs::is_regular_file(path) && bytes > __int128(fs::file_size(path)) * 40000 + (1 << 20))
    refuse(name, ": is truncated or damaged: its header announces ", width, " x ", height,
           " pixels, more than the file can contain");
  if (__int128(height) * width > max_pixels)
    refuse(name, ": has ", width, " x ", height, " pixels; the limit is ", max_pixels,
           " pixels: cut it into smaller images");
  const __int128 memory = __int128(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  if (bytes > memory) refuse(name, ": does not fit into this machine's memory (", width, " x ", height, " pixels)");
  Array a;
  a.type = type;
  a.shape = {height, width, channels};
  a.bytes.resize(size_t(bytes));
  return a;
}

ElementType unpacked_type(int bits) {
  return bits <= 8 ? ElementType::u8 : bits <= 16 ? ElementType::u16 : ElementType::u32;
}

void unpack(const std::byte* from, int bits, int64_t count, ElementType type, std::byte* to) {
  with_element(type, [&](auto zero) {
    using T = decltype(zero);
    T* out = reinterpret_cast<T*>(to);
    uint64_t buffer = 0;
    int held = 0;
    for (int64_t i = 0; i < count; ++i) {
      for (; held < bits; held += 8)
        buffer = buffer << 8 | uint64_t(*from++);
      held -= bits;
      out[i] = T(buffer >> held & ((uint64_t(1) << bits) - 1));
    }
  });
}

Array turned(const Array& a, int orientation) {
  const int64_t height = a.shape[0], width = a.shape[1];
  const bool swaps = orientation >= 5;
  Array out{a.type, {swaps ? width : height, swaps ? height : width, a.shape[2]}, {}};
  out.bytes.resize(a.bytes.size());
  const size_t pixel = size_of(a.type) * size_t(a.shape[2]);
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  std::byte* to = out.bytes.data();
  for (int64_t y = 0; y < out.shape[0]; ++y)
    for (int64_t x = 0; x < out.shape[1]; ++x, to += pixel) {
      const int64_t row = swaps ? x : y, column = swaps ? y : x;
      const int64_t v = from_bottom ? height - 1 - row : row, u = from_right ? width - 1 - column : column;
      std::memcpy(to, a.bytes.data() + size_t(v * width + u) * pixel, pixel);
    }
  return out;
}

int exif_orientation(const unsigned char* tiff, size_t size) {
  if (size < 8 || (std::memcmp(tiff, "II*\0", 4) != 0 && std::memcmp(tiff, "MM\0*", 4) != 0)) return 1;
  const bool big = tiff[0] == 'M';
  const auto number = [&](size_t at, int bytes) {
    uint32_t v = 0;
    for (int i = 0; i < bytes; ++i)
      v |= uint32_t(tiff[at + size_t(i)]) << 8 * (big ? bytes - 1 - i : i);
    return v;
  };
  const size_t directory = number(4, 4);
  if (directory + 2 > size) return 1;
  const size_t entries = number(directory, 2);
  for (size_t k = 0; k < entries; ++k) {
    const size_t at = directory + 2 + 12 * k;
    if (at + 12 > size) return 1;
    if (number(at, 2) != 0x112) continue;
    const uint32_t value = number(at + 8, 2);
    return value >= 1 && value <= 8 ? int(value) : 1;
  }
  return 1;
}

Decoded as_intensities(const fs::path& path, Decoded d) {
  if (!d.palette.empty()) {
    const int full = d.colour_bits == 8 ? 255 : 65535;
    if (d.imagej || displays_intensities(d.palette, full)) {
      if (!is_plain(d.palette, full))
        d.notes.push_back("its palette was ignored, because it only displays the intensities");
    } else {
      if (d.is_part) refuse(path.string(), ": is too large for an image with a palette; save it as grey or RGB");
      Array image = coloured(path, d);
      stretch(d);
      if (image.shape[2] == 3)
        d.notes.push_back("converted to the colours of its palette");
      else if (image.type != d.pixels.type || image.bytes != d.pixels.bytes)
        d.notes.push_back("converted to the greys of its palette");
      d.pixels = std::move(image);
      d.bits = 0;
    }
    d.palette.clear();
  }
  if (d.white_is_zero) {
    if (!is_unsigned(d.pixels.type))
      refuse(path.string(), ": is marked as 0 = white, but the value of black is unknown for this type (",
             name_of(d.pixels.type), "); save it with 0 as black");
    invert(d);
    d.notes.push_back("inverted, because it is marked as 0 = white");
  }
  stretch(d);
  turn(path, d);
  return d;
}

Decoded as_labels(const fs::path& path, Decoded d) {
  if (d.lossy)
    refuse(path.string(),
           ": uses lossy compression, which changes label numbers; save labels as "
           "PNG, TIFF or .npy");
  if (!d.palette.empty() && !d.imagej && !is_inverted_ramp(d.palette, d.colour_bits == 8 ? 255 : 65535) &&
      !(d.palette[0] == Colour{})) {
    if (const std::optional<size_t> black = black_number(path, d)) {
      with_element(d.pixels.type, [&](auto zero) {
        using T = decltype(zero);
        T* p = d.pixels.as<T>();
        for (int64_t i = 0, n = d.pixels.size(); i < n; ++i)
          p[i] = p[i] == T(*black) ? T(0) : p[i] == T(0) ? T(*black) : p[i];
      });
      d.notes.push_back("number " + std::to_string(*black) + ", which is black in its palette, is read as background");
    }
  }
  d.palette.clear();
  if (d.white_is_zero && is_unsigned(d.pixels.type) && !d.imagej) {
    const bool pure = with_element(d.pixels.type, [&](auto zero) {
      using T = decltype(zero);
      const T* p = d.pixels.as<T>();
      return std::all_of(p, p + d.pixels.size(), [white = T(highest(d))](T v) { return v == 0 || v == white; });
    });
    if (pure) {
      invert(d);
      d.notes.push_back("inverted, because it is marked as 0 = white");
    }
  }
  turn(path, d);
  return d;
}

}  // namespace basin::raster

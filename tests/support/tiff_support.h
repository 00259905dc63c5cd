#pragma once
// TIFF and BMP files written byte by byte.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace basin::test {

/// A number of `bytes` bytes, the lowest first.
inline std::string little_endian(uint64_t v, int bytes) {
  std::string s;
  for (int i = 0; i < bytes; ++i)
    s += i < 8 ? char(v >> 8 * i & 255) : '\0';
  return s;
}

/// Stands for the offset of a strip or tile that is not stored; TiffFile writes 0.
constexpr uint32_t nowhere = UINT32_MAX;

/// A little-endian TIFF with one image: 32-bit tags with one value or more, tags of text, and after them the pixels.
/// Offsets of strips (273) and tiles (324) are relative to the pixels.
struct TiffFile {
  std::map<int, std::vector<uint32_t>> tags;
  std::string pixels;
  std::map<int, std::string> texts = {};

  std::string bytes() const {
    const size_t entries = tags.size() + texts.size(), directory = 8 + 2 + 12 * entries + 4;
    size_t end = directory;  // of the values after the directory, where the pixels begin
    for (const auto& [tag, values] : tags)
      end += values.size() > 1 ? 4 * values.size() : 0;
    for (const auto& [tag, text] : texts)
      end += text.size() + 1;
    std::map<int, std::string> sorted;
    std::string behind;
    for (const auto& [tag, values] : tags) {
      std::string list;
      for (const uint32_t v : values)
        list += little_endian(tag != 273 && tag != 324 ? v : v == nowhere ? 0 : v + end, 4);
      const std::string start = little_endian(uint64_t(tag), 2) + little_endian(4, 2) + little_endian(values.size(), 4);
      sorted[tag] = start + (values.size() > 1 ? little_endian(directory + behind.size(), 4) : list);
      if (values.size() > 1) behind += list;
    }
    for (const auto& [tag, text] : texts) {
      const size_t length = text.size() + 1;
      sorted[tag] =
          little_endian(uint64_t(tag), 2) + little_endian(2, 2) + little_endian(length, 4) +
          (length > 4 ? little_endian(directory + behind.size(), 4) : (text + std::string(4, '\0')).substr(0, 4));
      behind += text + '\0';
    }
    std::string file = std::string("II*\0", 4) + little_endian(8, 4) + little_endian(entries, 2);
    for (const auto& [tag, entry] : sorted)
      file += entry;
    return file + little_endian(0, 4) + behind + pixels;
  }
};

/// The tags of an image with one strip: 256 width, 257 height, 258 bits, 262 photometric, 273 place, 278 rows, 279
/// bytes. Others: 259 compression, 274 orientation, 277 samples, 339 format.
inline std::map<int, uint32_t> tags_of(uint32_t width, uint32_t height, uint32_t bits, const std::string& pixels) {
  return {{256, width}, {257, height}, {258, bits}, {262, 1}, {278, height}, {279, uint32_t(pixels.size())}};
}

/// A TIFF with these tags, of one value each, and one strip.
inline std::string tiff_of(const std::map<int, uint32_t>& tags, const std::string& pixels) {
  TiffFile file{{{273, {0}}}, pixels};
  for (const auto& [tag, value] : tags)
    file.tags[tag] = {value};
  return file.bytes();
}

/// A BMP with a header of OS/2 (12 bytes) or Windows.
struct BmpFile {
  int32_t width = 3, height = 2;
  int bits = 8, compression = 0;
  std::string palette = {}, pixels = {}, masks = {};
  int header = 40;

  std::string bytes() const {
    const size_t offset = 14 + size_t(header) + masks.size() + palette.size();
    std::string s = "BM" + little_endian(offset + pixels.size(), 4) + little_endian(0, 4) + little_endian(offset, 4);
    s += little_endian(uint64_t(header), 4);
    if (header == 12)
      s += little_endian(uint64_t(width), 2) + little_endian(uint64_t(height), 2) + little_endian(1, 2) +
           little_endian(uint64_t(bits), 2);
    else
      s += little_endian(uint32_t(width), 4) + little_endian(uint32_t(height), 4) + little_endian(1, 2) +
           little_endian(uint64_t(bits), 2) + little_endian(uint64_t(compression), 4) + little_endian(0, 12) +
           little_endian(palette.size() / 4, 4) + little_endian(0, 4);
    return s + masks + palette + pixels;
  }
};

}  // namespace basin::test

#pragma once
// What image.cpp and labels.cpp share: decoding of one file, whatever its type, into [height][width][channels].
#include <filesystem>
#include <functional>

#include "data/files/array.h"
#include "engine/files.h"

namespace basin::raster {

/// A palette image as its colours (8-bit RGB, grey where all its colours are), or as the numbers of its colours.
enum class Palette { colours, indices };

/// [height][width][channels] of the file's own element type: PNG u8 or u16; JPEG, BMP u8; TIFF any but boolean. Alpha
/// is dropped. Every refusal is one sentence with the file's name.
Array read(const std::filesystem::path&, Palette);

/// How many images a file holds, reduced copies and masks of others left out: above one only for TIFF.
int count_images(const std::filesystem::path&);
/// Calls f with each of them in turn, palettes as numbers.
void for_each_image(const std::filesystem::path&, const std::function<void(const Array&)>& f);

Array read_png(const std::filesystem::path&, Palette);
Array read_tiff(const std::filesystem::path&, Palette);
int count_tiff_images(const std::filesystem::path&);
void for_each_tiff_image(const std::filesystem::path&, const std::function<void(const Array&)>&);
Array read_jpeg(const std::filesystem::path&);
Array read_bmp(const std::filesystem::path&);

/// The most pixels of an image: every stage numbers them with 32 bits.
constexpr int64_t max_pixels = (int64_t(1) << 31) - 1;

/// The memory for an image, after a check that its size is above zero and at most max_pixels, that the file can hold it
/// at any compression worth the name, and that this machine can.
Array allocate(const std::filesystem::path&, ElementType, int64_t height, int64_t width, int64_t channels);

/// Three channels that are equal everywhere become one.
void collapse_grey(Array&);

struct Rows {
  int height = 0, width = 0, channels = 1, bits = 8;  // bits: 8 or 16; TIFF also 32
  std::function<const void*(int y)> row;              // one row in this machine's byte order, valid until the next call
};
void write_png(const std::filesystem::path&, const Rows&);
std::vector<std::byte> encode_png(const Rows&);              // the bytes that write_png writes
void write_tiff(const std::filesystem::path&, const Rows&);  // one channel, deflate

}  // namespace basin::raster

#pragma once
// What the decoders of all formats give, and what they share.
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/array.h"

namespace basin::raster {

struct Colour {
  uint8_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
  bool is_grey() const { return red == green && red == blue; }
};

/// One image as its file stores it: the numbers, and what the file says of their meaning.
struct Decoded {
  Array pixels;                    // [height][width][channels] without alpha; half-precision numbers as float32
  int bits = 0;                    // of a number where it is narrower than its element type; 0: as wide
  std::vector<Colour> palette;     // colour of each number; empty: the numbers are values
  bool white_is_zero = false;      // more is darker
  int orientation = 1;             // TIFF's and EXIF's: 1 to 8
  bool lossy = false;              // the numbers are not those that were saved
  bool imagej = false;             // written by ImageJ, where palettes and polarity only display
  std::vector<std::string> notes;  // what reading it changed or left out: "an alpha channel is left out"
};

/// The most pixels of an image: every stage numbers them with 32 bits.
constexpr int64_t max_pixels = (int64_t(1) << 31) - 1;

/// The memory for an image, after a check that its size is above zero and at most max_pixels, that the file can hold it
/// at any compression worth the name, and that this machine can.
Array allocate(const std::filesystem::path&, ElementType, int64_t height, int64_t width, int64_t channels);

/// Whole numbers of `bits` bits (1 to 31), packed from the highest bit on, as uint8, uint16 or uint32 by need.
ElementType unpacked_type(int bits);
void unpack(const std::byte* from, int bits, int64_t count, ElementType, std::byte* to);

/// Turned so that its first row is the visual top and its first column the visual left side, as TIFF's Orientation
/// (1 to 8) says where they lie.
Array turned(const Array&, int orientation);

/// The number of an EXIF block's Orientation tag; 1 where there is none. `tiff` begins at the byte order, "II" or "MM".
int exif_orientation(const unsigned char* tiff, size_t size);

/// What the file is: numbers become intensities. Palettes that only display numbers (ImageJ's, and any whose colours
/// rise smoothly in brightness) give the numbers, others their colours, one channel where all are grey. Numbers of
/// fewer than 8 bits are stretched to 8. Where 0 is white, numbers are inverted; that is refused for signed numbers and
/// floats, of which the white is unknown. What was done is added to the notes.
Decoded as_intensities(const std::filesystem::path&, Decoded);

/// Numbers as labels or masks: 0 is background. A palette changes them only where its number 0 is not black and
/// another one is, which then is the background; pure black and white where 0 is white is inverted unless ImageJ wrote
/// it. Lossy files are refused.
Decoded as_labels(const std::filesystem::path&, Decoded);

}  // namespace basin::raster

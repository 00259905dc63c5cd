#pragma once
// The common result of the decoders of all formats, and helpers that they share.
#include <filesystem>
#include <string>
#include <vector>

#include "data/arrays/array.h"

namespace basin::raster {

struct Colour {
  uint16_t red = 0, green = 0, blue = 0;
  bool operator==(const Colour&) const = default;
  bool is_grey() const { return red == green && red == blue; }
};

/// One image as stored in its file: the numbers, and what the file says about their meaning.
struct Decoded {
  Array pixels;                    // [height][width][channels] without alpha; half-precision numbers as float32
  int bits = 0;                    // bits per number if fewer than in the element type; 0: all
  std::vector<Colour> palette;     // the colour of each number; empty: the numbers are values
  int colour_bits = 8;             // bits of each component of these colours: 8 or 16
  bool white_is_zero = false;      // larger numbers are darker
  int orientation = 1;             // as in TIFF and EXIF: 1 to 8
  bool lossy = false;              // lossy compression: the numbers differ from the original ones
  bool is_part = false;            // of an image: its meaning must not depend on the other parts
  bool imagej = false;             // written by ImageJ: palette and polarity only affect the display
  std::vector<std::string> notes;  // what reading it changed or left out: "an alpha channel is left out"
};

/// The largest number of pixels of an image: every stage numbers them with 32 bits.
constexpr int64_t max_pixels = (int64_t(1) << 31) - 1;

/// Allocates an image, after checking that its size is above zero and at most max_pixels, that this machine has enough
/// memory, and that the file can contain it at a plausible compression ratio, unless it is_sparse.
Array allocate(const std::filesystem::path&, ElementType, int64_t height, int64_t width, int64_t channels,
               bool is_sparse = false);

/// The type for integers of `bits` bits (1 to 31), which are packed from the highest bit on: uint8, uint16 or uint32.
ElementType unpacked_type(int bits);
void unpack(const std::byte* from, int bits, int64_t count, ElementType, std::byte* to);

/// Rotated or mirrored so that its first row is the visual top and its first column the visual left side, for an image
/// stored with this TIFF Orientation (1 to 8).
Array turned(const Array&, int orientation);

/// The Orientation tag of an EXIF block; 1 if there is none. `tiff` begins at the byte order, "II" or "MM".
int exif_orientation(const unsigned char* tiff, size_t size);

/// Interprets the numbers as intensities. Palettes that only display intensities (ImageJ's, and any whose brightness
/// rises smoothly, apart from a few colours at its ends that mark saturated pixels) are ignored; others give colours,
/// or one channel if all colours of the palette are grey. Numbers of fewer than 8 bits are stretched to 8. If 0 is
/// white, numbers are inverted; that is refused for signed numbers and floats, whose white is unknown. All changes are
/// added to the notes.
Decoded as_intensities(const std::filesystem::path&, Decoded);

/// Interprets the numbers as labels or masks: 0 is background. A palette matters only if its number 0 is not black but
/// another number is, which then is the background. Pure black and white with 0 as white is inverted unless ImageJ
/// wrote it. Lossy files are refused.
Decoded as_labels(const std::filesystem::path&, Decoded);

}  // namespace basin::raster

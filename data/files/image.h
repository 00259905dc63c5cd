#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/stack.h"

namespace basin {

struct Array;

enum class PixelType : uint8_t { u8, u16, u32, f32 };

/// Calls f with a value of the C++ type that `type` names and returns the result of f.
template <class F>
decltype(auto) with_pixels(PixelType type, F&& f) {
  switch (type) {
    case PixelType::u8:
      return f(uint8_t{});
    case PixelType::u16:
      return f(uint16_t{});
    case PixelType::u32:
      return f(uint32_t{});
    case PixelType::f32:
      break;
  }
  return f(float{});
}
inline size_t size_of(PixelType type) {
  return with_pixels(type, [](auto zero) { return sizeof zero; });
}
/// "8-bit", "16-bit", "32-bit", "32-bit float".
const char* name_of(PixelType);

/// An image as stored in its file: rows from the top, channels interleaved.
struct Image {
  int height = 0, width = 0, channels = 0;
  PixelType type = PixelType::u8;
  std::vector<std::byte> pixels;        // [height][width][channels]
  std::vector<std::string> notes = {};  // what reading changed or left out: "its alpha channel is left out"
  Stack stack = {};                     // axes, channels and pixel size according to the file
  bool separate_channels = false;       // not red, green and blue: along the axis C, or stains
  bool offers_channels = false;         // whether the command that reads it can choose among them by --channel

  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(pixels.data());
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(pixels.data());
  }
};

/// The largest allowed magnitude of a float pixel. Larger values are those that programs mark missing pixels with, and
/// their squares could overflow when summed.
constexpr double max_magnitude = 1e12;

/// Reads PNG, JPEG, BMP, TIFF and OME-Zarr: integers of 1 to 32 bits (signed ones without negative values), and floats
/// of 16, 32 and 64 bits, which become 32. A TIFF or a Zarr store may have any number of channels, interleaved, planar
/// or as images of a stack with named axes; `choice` selects the plane and the channels of a stack. Palettes, polarity,
/// orientation and alpha: see as_intensities in decoded.h; changes are reported in the notes. Throws one sentence with
/// the file's name if the file is missing, empty, truncated, in an unsupported format, of size zero, or too large for
/// memory, if it is a stack and no plane was chosen, or if it contains NaN, infinity or floats beyond max_magnitude.
Image read_image(const std::filesystem::path&, const PlaneChoice& choice = {});

/// The grey of a colour, by Rec. 601.
template <class T>
constexpr T grey_of(T red, T green, T blue) {
  return T(0.299) * red + T(0.587) * green + T(0.114) * blue;
}

/// The image whose pixels are an array [height, width, channels], each side at least 1. Throws one sentence that begins
/// with `name` for values and element types that read_image refuses in a file.
Image image_of(const std::string& name, Array pixels);

/// 8-bit or 16-bit PNG with 1 or 3 channels. Written under a temporary name and renamed.
void write_png(const std::filesystem::path&, const Image&);
/// The bytes that write_png writes.
std::vector<std::byte> encode_png(const Image&);

}  // namespace basin

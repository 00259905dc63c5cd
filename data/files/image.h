#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace basin {

enum class PixelType : uint8_t { u8, u16, u32, f32 };
size_t size_of(PixelType);

/// An image as its file holds it: rows from the top, channels interleaved.
struct Image {
  int height = 0, width = 0, channels = 0;
  PixelType type = PixelType::u8;
  std::vector<std::byte> pixels;  // [height][width][channels]

  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(pixels.data());
  }
  template <class T>
  T* as() {
    return reinterpret_cast<T*>(pixels.data());
  }
};

/// PNG, JPEG, BMP (8-bit, 16-bit PNG) and TIFF (8, 16, 32-bit integer and 32-bit float; any number of channels,
/// interleaved or planar). Alpha is dropped, palettes are expanded. Throws one sentence with the file's name if the
/// file is missing, empty, truncated, of no known type, of size zero, larger than memory allows, or holds NaN or
/// infinity.
Image read_image(const std::filesystem::path&);

/// The grey of a colour, by Rec. 601.
template <class T>
constexpr T grey_of(T red, T green, T blue) {
  return T(0.299) * red + T(0.587) * green + T(0.114) * blue;
}

/// 8-bit or 16-bit PNG with 1 or 3 channels. Written under a temporary name and renamed.
void write_png(const std::filesystem::path&, const Image&);
/// The bytes that write_png writes.
std::vector<std::byte> encode_png(const Image&);

}  // namespace basin

#include "data/files/image.h"

#include <cmath>

#include "data/files/raster.h"

namespace basin {
namespace fs = std::filesystem;
size_t size_of(PixelType type) {
  switch (type) {
    case PixelType::u8:
      return 1;
    case PixelType::u16:
      return 2;
    default:
      return 4;
  }
}

namespace {

/// What an image of a file's element type becomes in memory.
PixelType pixel_type(const fs::path& path, ElementType type) {
  switch (type) {
    case ElementType::u8:
    case ElementType::i8:
      return PixelType::u8;
    case ElementType::u16:
    case ElementType::i16:
      return PixelType::u16;
    case ElementType::u32:
    case ElementType::i32:
      return PixelType::u32;
    case ElementType::f32:
      return PixelType::f32;
    default:
      refuse(path.string(), ": has 64-bit pixels; Basin reads images with integers of 8, 16, 32 and floats of 32 bits");
  }
}

void check_values(const fs::path& path, const Array& a) {
  with_element(a.type, [&](auto zero) {
    using T = decltype(zero);
    const T* p = a.as<T>();
    const int64_t n = a.size();
    if constexpr (std::is_floating_point_v<T>) {
      bool finite = true;
      for (int64_t i = 0; i < n; ++i)
        finite = finite && std::isfinite(p[i]);
      if (!finite) refuse(path.string(), ": holds pixels that are NaN or infinite");
    } else if constexpr (std::is_signed_v<T>) {
      T least = 0;
      for (int64_t i = 0; i < n; ++i)
        least = std::min(least, p[i]);
      if (least < 0) refuse(path.string(), ": holds negative integers; save it with unsigned or float pixels");
    }
  });
}

/// As PNG takes it; the image must outlive it.
raster::Rows rows_of(const Image& image) {
  BASIN_CHECK(image.type == PixelType::u8 || image.type == PixelType::u16, "type ", int(image.type));
  BASIN_CHECK(image.channels == 1 || image.channels == 3, image.channels, " channels");
  BASIN_CHECK(image.height > 0 && image.width > 0, image.height, " x ", image.width);
  const size_t stride = size_t(image.width) * size_t(image.channels) * size_of(image.type);
  BASIN_CHECK(image.pixels.size() == stride * size_t(image.height), image.pixels.size(), " bytes");
  return {.height = image.height,
          .width = image.width,
          .channels = image.channels,
          .bits = 8 * int(size_of(image.type)),
          .row = [&image, stride](int y) { return image.pixels.data() + size_t(y) * stride; }};
}

}  // namespace

Image read_image(const fs::path& path) {
  Array a = raster::read(path, raster::Palette::colours);
  Image image;
  image.type = pixel_type(path, a.type);
  check_values(path, a);
  image.height = int(a.shape[0]);
  image.width = int(a.shape[1]);
  image.channels = int(a.shape[2]);
  image.pixels = std::move(a.bytes);
  return image;
}

void write_png(const fs::path& path, const Image& image) { raster::write_png(path, rows_of(image)); }

std::vector<std::byte> encode_png(const Image& image) { return raster::encode_png(rows_of(image)); }

}  // namespace basin

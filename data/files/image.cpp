#include "data/files/image.h"

#include <algorithm>
#include <cmath>

#include "data/arrays/array.h"
#include "data/files/encoders.h"
#include "data/files/image_parts.h"
#include "data/files/raster.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace fs = std::filesystem;
namespace {

/// The pixel type in memory for a file's element type.
PixelType pixel_type(const std::string& name, ElementType type) {
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
      refuse(name, ": has ", name_of(type), " pixels; images must have integers of up to 32 bits or floats");
  }
}

/// Refuses values that cannot be used. `corner`: the place of the first pixel in the image.
void check_values(const std::string& name, const Array& a, const PixelRect& corner) {
  const int64_t width = a.shape[1], channels = a.shape[2];
  with_element(a.type, [&](auto zero) {
    using T = decltype(zero);
    const T* p = a.as<T>();
    const T* end = p + a.size();
    const auto refuse_at = [&](const T* at, const char* why) {
      const int64_t pixel = (at - p) / channels;
      refuse(name, ": has the value ", +*at, " at x = ", corner.x + pixel % width, ", y = ", corner.y + pixel / width,
             why);
    };
    if constexpr (std::is_floating_point_v<T>) {
      const T* odd = std::find_if(p, end, [](T v) { return !(std::abs(v) <= T(max_magnitude)); });
      if (odd != end && !std::isfinite(*odd)) refuse_at(odd, "; pixels must not be NaN or infinite");
      if (odd != end) refuse_at(odd, ", which may mark a missing pixel; replace it");
    } else if constexpr (std::is_signed_v<T>) {
      const T* negative = std::find_if(p, end, [](T v) { return v < 0; });
      if (negative != end)
        refuse_at(negative, "; negative integers are not supported: save it with unsigned or float pixels");
    }
  });
}

/// Converts double-precision pixels to single precision.
Array narrowed(Array a) {
  if (a.type != ElementType::f64) return a;
  Array out{ElementType::f32, a.shape, {}};
  out.bytes.resize(a.bytes.size() / 2);
  const double* from = a.as<double>();
  std::transform(from, from + a.size(), reinterpret_cast<float*>(out.bytes.data()), [](double v) { return float(v); });
  return out;
}

Image checked_image(const std::string& name, Array pixels, const PixelRect& part) {
  check_values(name, pixels, part);
  Array a = narrowed(std::move(pixels));
  Image image;
  image.type = pixel_type(name, a.type);
  image.height = int(a.shape[0]);
  image.width = int(a.shape[1]);
  image.channels = int(a.shape[2]);
  image.pixels = std::move(a.bytes);
  return image;
}

/// The picture as an image, after checking its values. `part`: where it lies in the file's image.
Image image_of_picture(const fs::path& path, raster::Picture picture, const PlaneChoice& choice,
                       const PixelRect& part = {}) {
  Image image = checked_image(path.string(), std::move(picture.pixels), part);
  image.stack = std::move(picture.stack);
  image.notes = std::move(picture.notes);
  image.offers_channels = choice.offers_channels;
  const bool is_stack = image.stack.images > 1;
  const Stack stack = is_stack ? with_axes(image.stack, choice, path.string()) : image.stack;
  if (const std::string chosen = describe_choice(choice); is_stack || !chosen.empty())
    image.notes.insert(image.notes.begin(), "read as " + to_text(stack) + chosen);
  const std::vector<StackAxis>& axes = stack.axes;
  const bool along_c = std::any_of(axes.begin(), axes.end(), [](const StackAxis& a) { return a.name == 'C'; });
  image.separate_channels = image.channels > 1 && (along_c || !image.stack.colours);
  return image;
}

/// The rows of an image for the PNG writer; the image must outlive them.
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

const char* name_of(PixelType type) {
  static const char* const names[] = {"8-bit", "16-bit", "32-bit", "32-bit float"};
  return names[size_t(type)];
}

Image image_of(const std::string& name, Array pixels) { return checked_image(name, std::move(pixels), {}); }

Image read_image(const fs::path& path, const PlaneChoice& choice) {
  return image_of_picture(path, raster::read(path, raster::Purpose::image, choice), choice);
}

Image read_image_part(const fs::path& path, const PlaneChoice& choice, const PixelRect& part) {
  BASIN_CHECK(part.height > 0 && part.width > 0, part.height, " x ", part.width);
  return image_of_picture(path, raster::read(path, raster::Purpose::image, choice, part), choice, part);
}

Stack stack_in(const fs::path& path, const PlaneChoice& choice) { return raster::stack_in(path, choice); }

StackPlanes planes_in(const fs::path& path, const PlaneChoice& choice) { return raster::planes_in(path, choice); }

void read_image_planes(const fs::path& path, const StackPlanes& planes, const PlaneChoice& choice,
                       const std::function<void(int64_t, Image)>& f) {
  int64_t plane = 0;
  raster::read_planes(path, planes, choice,
                      [&](raster::Picture picture) { f(plane++, image_of_picture(path, std::move(picture), choice)); });
}

void write_png(const fs::path& path, const Image& image) { raster::write_png(path, rows_of(image)); }

std::vector<std::byte> encode_png(const Image& image) { return raster::encode_png(rows_of(image)); }

}  // namespace basin

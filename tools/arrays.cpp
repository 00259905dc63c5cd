#include "tools/arrays.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/image.h"
#include "data/npy.h"
#include "engine/files.h"

namespace basin::tools {
namespace {

template <class T>
void refuse_not_finite(const T* values, size_t n, const std::string& path) {
  if constexpr (std::is_floating_point_v<T>)
    for (size_t i = 0; i < n; ++i)
      if (!std::isfinite(values[i])) refuse(path, ": element ", i, " is not finite");
}

/// 1 where any of the `channels` values of a pixel is not 0.
template <class T>
std::vector<uint8_t> nonzero(const T* values, size_t pixels, int channels, const std::string& path) {
  refuse_not_finite(values, pixels * size_t(channels), path);
  std::vector<uint8_t> mask(pixels);
  for (size_t p = 0; p < pixels; ++p)
    for (int c = 0; c < channels; ++c)
      mask[p] |= *values++ != 0;
  return mask;
}

}  // namespace

std::string shape_text(const Array& array) {
  std::string text;
  for (const int64_t d : array.shape)
    text += (text.empty() ? "" : ", ") + std::to_string(d);
  return "[" + text + "]";
}

Array read_real(const std::string& path, std::initializer_list<int> ranks) {
  Array array = read_npy(path);
  if (!array.is_real()) refuse(path, ": expected float32 or float64 numbers");
  if (std::find(ranks.begin(), ranks.end(), int(array.shape.size())) == ranks.end())
    refuse(path, ": an array of shape ", shape_text(array), " does not fit here");
  for (const int64_t d : array.shape)
    if (d > std::numeric_limits<int>::max()) refuse(path, ": an array of shape ", shape_text(array), " is too large");
  with_element(array.type,
               [&](auto zero) { refuse_not_finite(array.as<decltype(zero)>(), size_t(array.size()), path); });
  return array;
}

DType wider(const Array& a, const Array& b) {
  return a.type == ElementType::f64 || b.type == ElementType::f64 ? DType::f64 : DType::f32;
}

Tensor to_tensor(const Exec& exec, const Array& array, DType dtype, Shape shape) {
  Tensor tensor;
  with_real(dtype, [&]<class T>(T) { tensor = Tensor::from(exec, shape, array.values<T>()); });
  return tensor;
}

Mask read_mask(const std::string& path) {
  const auto check = [&](int64_t height, int64_t width) {
    if (std::max({height, width, height * width}) > INT32_MAX) refuse(path, ": 2^31 pixels or more");
  };
  if (lower_extension(path) == ".npy") {
    const Array array = read_npy(path);
    if (array.shape.size() != 2) refuse(path, ": expected a mask [H, W], not ", shape_text(array));
    check(array.shape[0], array.shape[1]);
    return {int(array.shape[0]), int(array.shape[1]), with_element(array.type, [&](auto zero) {
              return nonzero(array.as<decltype(zero)>(), size_t(array.size()), 1, path);
            })};
  }
  const Image image = read_image(path);
  check(image.height, image.width);
  const auto from = [&](const auto* values) {
    const size_t pixels = size_t(image.height) * size_t(image.width);
    return Mask{image.height, image.width, nonzero(values, pixels, image.channels, path)};
  };
  switch (image.type) {
    case PixelType::u8:
      return from(image.as<uint8_t>());
    case PixelType::u16:
      return from(image.as<uint16_t>());
    case PixelType::u32:
      return from(image.as<uint32_t>());
    case PixelType::f32:
      break;
  }
  return from(image.as<float>());
}

}  // namespace basin::tools

#include "tools/cli/arrays.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/arrays/npy.h"
#include "data/dataset/dataset.h"
#include "data/files/labels.h"
#include "engine/text.h"
#include "tools/cli/command.h"

namespace basin::tools {
namespace {

template <class T>
void refuse_not_finite(const T* values, size_t n, const std::string& path) {
  if constexpr (std::is_floating_point_v<T>)
    for (size_t i = 0; i < n; ++i)
      if (!std::isfinite(values[i])) refuse(path, ": element ", i, " is not finite");
}

/// 1 where any of a pixel's `channels` values is not 0.
template <class T>
std::vector<uint8_t> nonzero(const T* values, size_t pixels, int channels, const std::string& path) {
  refuse_not_finite(values, pixels * size_t(channels), path);
  std::vector<uint8_t> mask(pixels);
  for (size_t p = 0; p < pixels; ++p)
    for (int c = 0; c < channels; ++c)
      mask[p] |= *values++ != 0;
  return mask;
}

/// In a photograph nearly all pixels are not 0: it would be one component.
void refuse_photograph(const Array& array, const std::string& path) {
  const size_t pixels = size_t(array.shape[0]) * size_t(array.shape[1]), channels = size_t(array.shape[2]);
  with_element(array.type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_unsigned_v<T> && sizeof(T) <= 4) {
      std::vector<int64_t> values(pixels);
      for (size_t p = 0; p < pixels; ++p)
        values[p] = int64_t(array.as<T>()[p * channels]);
      if (evidence(compact(int(array.shape[0]), int(array.shape[1]), std::move(values))).photograph)
        refuse(path, ": is not a mask: neighbouring pixels differ as in a photograph");
    }
  });
}

}  // namespace

std::string shape_text(const Array& array) {
  std::string text;
  for (const int64_t d : array.shape)
    add_to_list(text, std::to_string(d));
  return "[" + text + "]";
}

Array read_real(const std::string& path, std::initializer_list<int> ranks) {
  Array array = read_npy(path);
  expect_real(array, path, ranks);
  return array;
}

void expect_real(const Array& array, const std::string& name, std::initializer_list<int> ranks) {
  if (!array.is_real()) refuse(name, ": expected float32 or float64 numbers");
  if (std::find(ranks.begin(), ranks.end(), int(array.shape.size())) == ranks.end())
    refuse(name, ": the array of shape ", shape_text(array), " has the wrong number of dimensions");
  for (const int64_t d : array.shape)
    if (d > std::numeric_limits<int>::max()) refuse(name, ": the array of shape ", shape_text(array), " is too large");
  with_element(array.type,
               [&](auto zero) { refuse_not_finite(array.as<decltype(zero)>(), size_t(array.size()), name); });
}

template <class T>
void expect_finite(const std::vector<T>& results, const std::string& name, const std::string& what) {
  if (!std::all_of(results.begin(), results.end(), [](T v) { return std::isfinite(v); }))
    refuse(name, ": ", what, " are not finite: a number in the inputs, a step or a weight is too large for ",
           sizeof(T) == 4 ? "float32" : "float64");
}
template void expect_finite(const std::vector<float>&, const std::string&, const std::string&);
template void expect_finite(const std::vector<double>&, const std::string&, const std::string&);

DType wider(const Array& a, const Array& b) {
  return a.type == ElementType::f64 || b.type == ElementType::f64 ? DType::f64 : DType::f32;
}

Tensor to_tensor(const Exec& exec, const Array& array, DType dtype, Shape shape) {
  Tensor tensor;
  with_real(dtype, [&]<class T>(T) { tensor = Tensor::from(exec, shape, array.values<T>()); });
  return tensor;
}

Mask read_mask(const std::string& path, const PlaneChoice& choice) {
  std::vector<std::string> changes;
  const Array array = read_label_array(path, &changes, choice);
  NoteList notes;
  notes.add(path, changes);
  report_notes(notes.lines());
  const int64_t height = array.shape[0], width = array.shape[1], channels = array.shape[2];
  if (height * width > INT32_MAX) refuse(path, ": has 2^31 pixels or more, which is too large");
  refuse_photograph(array, path);
  return {int(height), int(width), with_element(array.type, [&](auto zero) {
            return nonzero(array.as<decltype(zero)>(), size_t(height * width), int(channels), path);
          })};
}

}  // namespace basin::tools

#include "tools/arrays.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/npy.h"

namespace basin::tools {

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
  with_element(array.type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T>) {
      const T* values = array.as<T>();
      for (int64_t i = 0; i < array.size(); ++i)
        if (!std::isfinite(values[i])) refuse(path, ": element ", i, " is not finite");
    }
  });
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

}  // namespace basin::tools

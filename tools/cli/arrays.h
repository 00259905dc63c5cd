#pragma once
#include <initializer_list>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/stack.h"
#include "engine/tensor.h"

namespace basin::tools {

/// Reads a .npy file of float32 or float64 numbers whose rank is one of `ranks`. Throws for any other.
Array read_real(const std::string& path, std::initializer_list<int> ranks);
/// Throws one sentence that begins with `name` unless the array is one that read_real returns.
void expect_real(const Array&, const std::string& name, std::initializer_list<int> ranks);

/// Throws one sentence that begins with `name` if results computed from that file, float or double, contain NaN or
/// infinity. `what`: what they are, in the plural.
template <class T>
void expect_finite(const std::vector<T>& results, const std::string& name, const std::string& what);

/// The wider of the element types of two real arrays: both are computed in it, so that neither is narrowed.
DType wider(const Array&, const Array&);

/// Copies the array to a device as `dtype`, f32 or f64, in another shape of the same size.
Tensor to_tensor(const Exec&, const Array&, DType, Shape);

struct Mask {
  int height = 0, width = 0;
  std::vector<uint8_t> pixels;  // 0 or 1
};

/// Reads the foreground, the pixels that are not 0, of an image (in any channel; a palette image counts by colour
/// index, as a label image does) or of a .npy array [H, W]. `choice`: the plane, if it is a stack. Throws for another
/// shape, a value that is not finite, 2^31 pixels or more, or a photograph.
Mask read_mask(const std::string& path, const PlaneChoice& choice = {});

/// "[2, 256, 256]"
std::string shape_text(const Array&);

}  // namespace basin::tools

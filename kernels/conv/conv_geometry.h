#pragma once
#include <compare>
#include <ostream>

namespace basin::kernels {

/// The geometry of a convolution: the size of its kernel, its stride and dilation (the distance between neighbouring
/// taps, 1 without dilation), both the same along either axis, and the rows and columns of zeros added on each side. A
/// transposed convolution is the backward pass of the convolution with the same geometry.
struct ConvGeometry {
  int kernel_h = 1, kernel_w = 1;
  int stride = 1, dilation = 1;
  int top = 0, left = 0, bottom = 0, right = 0;

  auto operator<=>(const ConvGeometry&) const = default;

  /// Stride 1 and the padding that keeps the size of the image. If that is an odd number of rows or columns, the extra
  /// one is at the bottom or on the right, as in Keras.
  static constexpr ConvGeometry same(int kernel_h, int kernel_w, int dilation = 1) {
    const int h = dilation * (kernel_h - 1), w = dilation * (kernel_w - 1);
    return {kernel_h, kernel_w, 1, dilation, h / 2, w / 2, h - h / 2, w - w / 2};
  }
  /// A square kernel with equal padding on all four sides, as in PyTorch.
  static constexpr ConvGeometry square(int kernel, int stride, int padding) {
    return {kernel, kernel, stride, 1, padding, padding, padding, padding};
  }

  bool is_symmetric() const { return top == bottom && left == right; }
  /// Whether all numbers are valid.
  bool is_valid() const {
    return kernel_h > 0 && kernel_w > 0 && stride > 0 && dilation > 0 && top >= 0 && left >= 0 && bottom >= 0 &&
           right >= 0;
  }
  /// Rows and columns of the image that the kernel spans.
  int span_h() const { return dilation * (kernel_h - 1) + 1; }
  int span_w() const { return dilation * (kernel_w - 1) + 1; }
  /// The output size for an image of this size; 0 if the kernel does not fit into it.
  int out_h(int h) const { return h + top + bottom < span_h() ? 0 : (h + top + bottom - span_h()) / stride + 1; }
  int out_w(int w) const { return w + left + right < span_w() ? 0 : (w + left + right - span_w()) / stride + 1; }
  /// The output size of the transposed convolution, as in PyTorch: the smallest of the `stride` sizes that the
  /// convolution maps to h, plus `output_padding`.
  int transposed_h(int h, int output_padding) const {
    return (h - 1) * stride + span_h() - top - bottom + output_padding;
  }
  int transposed_w(int w, int output_padding) const {
    return (w - 1) * stride + span_w() - left - right + output_padding;
  }
};

inline std::ostream& operator<<(std::ostream& out, const ConvGeometry& g) {
  return out << "kernel " << g.kernel_h << 'x' << g.kernel_w << ", stride " << g.stride << ", dilation " << g.dilation
             << ", padding " << g.top << ' ' << g.left << ' ' << g.bottom << ' ' << g.right;
}

}  // namespace basin::kernels

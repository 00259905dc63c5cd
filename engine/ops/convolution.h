#pragma once
// Shared by the convolutions of engine/ops/conv.h.
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/conv/conv.h"

namespace basin {

/// Stride 1 and the padding that keeps the size of the image.
inline kernels::ConvGeometry same_geometry(const Tensor& weight) {
  return kernels::ConvGeometry::same(weight.dim(2), weight.dim(3));
}

/// A convolution between maps of these layouts: by oneDNN or cuDNN where they are supported, otherwise by the plain
/// kernels. x is convolved with the input channels of the weight from `first` on. oneDNN needs blocked maps: if only x
/// or only the result is blocked, a blocked copy of the other is used. oneDNN can also read an x of up to 3 plain
/// channels, as in the first layer of a network, but for the gradient of such an x it has only its reference kernel.
class Convolution {
 public:
  Convolution(const Exec&, const Tensor& x, const Tensor& out, const kernels::ConvGeometry&);

  /// `bias` may be empty.
  void forward(const Tensor& x, const Tensor& weight, int first, const Tensor& bias, const kernels::ConvEpilogue&,
               const Tensor& out) const;
  /// The convolution of [up(low), x] at once, where up repeats each pixel 2x2; false if this is not supported.
  bool forward_upsampled(const Tensor& low, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const kernels::ConvEpilogue&, const Tensor& out) const;
  /// backward_weight adds to d_weight; backward_data overwrites d_x.
  void backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight, int first) const;
  void backward_data(const Tensor& weight, int first, const Tensor& d_out, const Tensor& d_x) const;

 private:
  enum class Library { none, onednn, cudnn };

  bool first_layer_backward_weight(const Tensor& x, const Tensor& d_out, const Tensor& d_weight, int first) const;
  bool last_layer_backward_data(const Tensor& weight, int first, const Tensor& d_out, const Tensor& d_x) const;
  template <class F>
  void write(const Tensor& maps, Layout, bool adds, const F&) const;

  Exec exec_;
  kernels::ConvGeometry geometry_;
  Layout x_layout_, out_layout_;
  Library library_ = Library::none;
  bool reads_plain_x_ = false;  // oneDNN, without a blocked copy
};

/// Turns d_out into the gradient before the ReLU and the bias, and adds to the gradient of the bias. `relu_value`: the
/// value of the ReLU, empty if there is none; `bias` may be empty.
void epilogue_backward(const Exec&, const Tensor& relu_value, const Parameter& bias, const Tensor& d_out);

}  // namespace basin

#pragma once
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/conv/conv.h"

// Convolutions of feature maps [N, C, H, W] in any layout, into maps of the layout asked for: by oneDNN or cuDNN where
// they serve, else by the plain kernels. Maps of bfloat16 go with parameters of float32; their convolution has no
// gradient on the CPU. Gradients of parameters are added to their `gradient`. "Keeps x": x.kept(), which is no memory
// where x can be recomputed, as the output of a batch normalisation can.

namespace basin {

/// Stride 1, no bias, and the padding that keeps the size of the image. Keeps x.
Var conv(Tape&, const Var& x, const Parameter& weight, Layout);

/// What a convolution computes beside the products of its weight.
struct ConvOptions {
  kernels::ConvGeometry geometry;
  Layout layout;
  bool relu = false;  // a ReLU follows, at no pass of its own
};
/// The convolution of `parts` concatenated along the channels, which are never copied together: each meets its input
/// channels of the weight, and they may differ in layout. `bias` may be empty. Keeps the parts, and its value where
/// there is a ReLU.
Var conv(Tape&, const std::vector<Var>& parts, const Parameter& weight, const Parameter& bias, const ConvOptions&);
inline Var conv(Tape& tape, const Var& x, const Parameter& weight, const Parameter& bias, const ConvOptions& options) {
  return conv(tape, std::vector<Var>{x}, weight, bias, options);
}

/// The transposed convolution of PyTorch: the gradient of the convolution of this geometry with respect to its input,
/// of size geometry.transposed_h(H, output_padding). The weight is [C of x, C of the result, kernel_h, kernel_w];
/// `bias` may be empty. Keeps x, and its value where there is a ReLU.
Var conv_transposed(Tape&, const Var& x, const Parameter& weight, const Parameter& bias, const ConvOptions&,
                    int output_padding = 0);

/// The convolution of [up(low), skip] concatenated along the channels, up repeating each pixel 2x2. Neither up(low) nor
/// the concatenation is kept: each part meets its input channels of the weight, and up(low) is recomputed for the
/// backward. Keeps low and skip.
Var conv_upsampled(Tape&, const Var& low, const Var& skip, const Parameter& weight, Layout);

/// up(x) repeats each pixel 2x2; then a convolution with a kernel of 2x2, padded by one row at the bottom and one
/// column on the right, and a bias, which may be empty. Computed without up(x): of the four pixels over one of x, each
/// is a convolution of x with a kernel of its own, whose taps are sums of the weight's (nine in all, not sixteen).
/// Keeps x, and its value where there is a ReLU.
Var conv_upsampled_2x2(Tape&, const Var& x, const Parameter& weight, const Parameter& bias, Layout, bool relu);

}  // namespace basin

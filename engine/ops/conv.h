#pragma once
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/conv/conv.h"

// Convolutions of feature maps [N, C, H, W] in any layout, into maps of a given layout: by oneDNN or cuDNN where they
// are supported, otherwise by the plain kernels. Maps may be bfloat16 with float32 parameters; such a convolution has
// no gradient on the CPU. Gradients are added to the `gradient` of each parameter. "Keeps x" means x.kept(), which
// takes no memory if x can be recomputed, as the output of a batch normalisation can.

namespace basin {

/// A convolution with stride 1, no bias, and the padding that keeps the size of the image. Keeps x.
Var conv(Tape&, const Var& x, const Parameter& weight, Layout);

/// Options of a convolution.
struct ConvOptions {
  kernels::ConvGeometry geometry;
  Layout layout;
  bool relu = false;  // apply a ReLU, without an extra pass over the maps
};
/// The convolution of `parts` concatenated along the channels, but without a copy: each part is convolved with its
/// input channels of the weight, and parts may differ in layout. `bias` may be empty. Keeps the parts, and with a ReLU
/// also its value.
Var conv(Tape&, const std::vector<Var>& parts, const Parameter& weight, const Parameter& bias, const ConvOptions&);
inline Var conv(Tape& tape, const Var& x, const Parameter& weight, const Parameter& bias, const ConvOptions& options) {
  return conv(tape, std::vector<Var>{x}, weight, bias, options);
}

/// The transposed convolution of PyTorch: the gradient of the convolution of this geometry with respect to its input,
/// of size geometry.transposed_h(H, output_padding). The weight is [C of x, C of the result, kernel_h, kernel_w];
/// `bias` may be empty. Keeps x, and with a ReLU also its value.
Var conv_transposed(Tape&, const Var& x, const Parameter& weight, const Parameter& bias, const ConvOptions&,
                    int output_padding = 0);

/// The convolution of [up(low), skip] concatenated along the channels, where up repeats each pixel 2x2. Neither up(low)
/// nor the concatenation is kept: each part is convolved with its input channels of the weight, and up(low) is
/// recomputed in the backward pass. Keeps low and skip.
Var conv_upsampled(Tape&, const Var& low, const Var& skip, const Parameter& weight, Layout);

/// Repeats each pixel 2x2, up(x), then convolves with a 2x2 kernel, padded by one row at the bottom and one column on
/// the right, and adds a bias, which may be empty. Computed without up(x): each of the four output pixels over a pixel
/// of x is a convolution of x with its own kernel, whose taps are sums of the weight's (nine taps in all instead of
/// sixteen). Keeps x, and with a ReLU also its value.
Var conv_upsampled_2x2(Tape&, const Var& x, const Parameter& weight, const Parameter& bias, Layout, bool relu);

}  // namespace basin

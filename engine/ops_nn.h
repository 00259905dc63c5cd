#pragma once
#include "engine/params.h"
#include "engine/tape.h"
#include "kernels/nn/conv_onednn.h"
#include "kernels/nn/training_step.h"

// The operations of a convolutional network on feature maps [N, C, H, W] in any layout. Maps of bfloat16 go with
// parameters and statistics of float32; a convolution has no gradient in it on the CPU. Gradients of parameters are
// added to their `gradient`. "Keeps x": x.kept(), which is no memory where x can be made again, as the output of a
// batch normalisation can.

namespace basin {

/// The layout that a network whose maps all have a multiple of `width` channels is fastest in: blocked on the CPU for
/// float32, by 16 with AVX-512 where the channels fill whole blocks, else by 8; on the GPU nhwc for tensor cores, that
/// is in tf32 and bf16; else nchw.
Layout network_layout(const Exec&, DType, int width);
Tensor to_layout(const Exec&, const Tensor&, Layout);
/// float32 rounded to bfloat16, in this layout.
Tensor to_bfloat16(const Exec&, const Tensor&, Layout);

/// kernels/nn/conv.h, without bias, into maps of this layout. Keeps x.
Var conv(Tape&, const Var& x, const Parameter& weight, Layout);

/// The convolution of [up(low), skip] concatenated along the channels, up repeating each pixel 2x2. Neither up(low) nor
/// the concatenation is kept: each part meets its input channels of the weight, and up(low) is made again for the
/// backward. Keeps low and skip.
Var conv_upsampled(Tape&, const Var& low, const Var& skip, const Parameter& weight, Layout);

/// A batch normalisation's parameters. epsilon and momentum as in PyTorch.
struct NormParameters {
  Parameter gamma, beta;
  Tensor running_mean, running_var;
  double epsilon = 1e-5, momentum = 0.1;
};
/// relu(batch norm(x)), which can be made again. Saves x and the statistics. On a training tape only.
Var norm_relu(Tape&, const Var& x, const NormParameters&);
/// relu(batch norm(a) + batch norm(b)), which can be made again. Saves a, b and the statistics. On a training tape
/// only.
Var norm_add_relu(Tape&, const Var& a, const NormParameters&, const Var& b, const NormParameters&);

/// kernels/nn/resample.h. Saves which pixel was chosen.
Var max_pool(Tape&, const Var& x);

struct DropoutOptions {
  double p = 0.2;
  uint64_t seed = 0;
  uint32_t layer = 0;  // tells the masks of several dropouts apart
};
/// Saves nothing: the mask is made again. On a training tape only.
Var dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);

/// kernels/nn/pointwise.h: plain nchw out, float32 where x is bfloat16. Keeps x.
Var pointwise(Tape&, const Var& x, const Parameter& weight, const Parameter& bias);

/// A convolution and the batch normalisation after it as one convolution with bias, for inference:
/// weight' = weight gamma / sqrt(var + epsilon), bias' = beta - mean gamma / sqrt(var + epsilon).
struct FoldedConv {
  Tensor weight, bias;
};
FoldedConv fold(const Exec&, const Parameter& weight, const NormParameters&);
/// out = [out +] conv(x) + bias, then relu where wanted, in this layout and x's element type, float32 or bfloat16.
/// `out` empty: a new tensor.
Tensor conv_folded(const Exec&, const Tensor& x, const FoldedConv&, Layout, const kernels::ConvEpilogue&,
                   Tensor out = {});
/// relu(conv([up(low), skip]) + bias), as conv_upsampled.
Tensor conv_upsampled_folded(const Exec&, const Tensor& low, const Tensor& skip, const FoldedConv&, Layout);

}  // namespace basin

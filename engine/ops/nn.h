#pragma once
#include "engine/ops/conv.h"
#include "engine/ops/maps.h"
#include "engine/ops/norm.h"
#include "kernels/conv/conv_onednn.h"

// Includes all operations of a convolutional network (engine/ops/conv.h, norm.h, maps.h), its layouts, and the folding
// of batch normalisations for inference.

namespace basin {

/// The fastest layout for a network whose maps all have a multiple of `width` channels. On the CPU blocked for float32:
/// by 16 with AVX-512 if the channels fill whole blocks, otherwise by 8. On the GPU nhwc for tensor cores, that is in
/// tf32 and bf16. Otherwise nchw.
Layout network_layout(const Exec&, DType, int width);
Tensor to_layout(const Exec&, const Tensor&, Layout);
/// float32 rounded to bfloat16, in this layout.
Tensor to_bfloat16(const Exec&, const Tensor&, Layout);

/// See kernels/nn/pointwise.h: the output is plain nchw, in float32 if x is bfloat16. Keeps x.
Var pointwise(Tape&, const Var& x, const Parameter& weight, const Parameter& bias);

/// A convolution and its batch normalisation as one convolution with bias, for inference. With s = gamma / sqrt(var +
/// epsilon): weight' = weight s, bias' = beta + (bias - mean) s.
struct FoldedConv {
  Tensor weight, bias;
  kernels::ConvGeometry geometry;
};
/// Of a convolution without a bias, with stride 1 and the padding that keeps the size of the image.
FoldedConv fold(const Exec&, const Parameter& weight, const NormParameters&);
/// Of a convolution with a bias. `output_axis`: that of the weight, 1 for a transposed convolution.
FoldedConv fold(const Exec&, const Parameter& weight, const Parameter& bias, const NormParameters&,
                const kernels::ConvGeometry&, int output_axis);
/// out = [out +] conv(x) + bias, then a ReLU if asked for, in this layout and x's element type, float32 or bfloat16. If
/// `out` is empty, a new tensor is allocated.
Tensor conv_folded(const Exec&, const Tensor& x, const FoldedConv&, Layout, const kernels::ConvEpilogue&,
                   Tensor out = {});
/// relu(conv([up(low), skip]) + bias), as in conv_upsampled.
Tensor conv_upsampled_folded(const Exec&, const Tensor& low, const Tensor& skip, const FoldedConv&, Layout);

}  // namespace basin

#pragma once
#include "engine/ops/conv.h"
#include "engine/ops/maps.h"
#include "engine/ops/norm.h"
#include "kernels/conv/conv_onednn.h"

// All operations of a convolutional network (engine/ops/conv.h, norm.h, maps.h), its layouts, and the folding of batch
// normalisations for inference.

namespace basin {

/// The layout that a network whose maps all have a multiple of `width` channels is fastest in: blocked on the CPU for
/// float32, by 16 with AVX-512 where the channels fill whole blocks, else by 8; on the GPU nhwc for tensor cores, that
/// is in tf32 and bf16; else nchw.
Layout network_layout(const Exec&, DType, int width);
Tensor to_layout(const Exec&, const Tensor&, Layout);
/// float32 rounded to bfloat16, in this layout.
Tensor to_bfloat16(const Exec&, const Tensor&, Layout);

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

#pragma once
#include "kernels/conv/conv.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on the CPU by oneDNN (kernels/conv/conv_onednn.h), with the same arguments and results. Problems for
// which oneDNN has only its reference kernel, thousands of times slower, are rewritten as equivalent ones:
//   - A dilation d of a kernel with one row or one column. Rows y = d a + b with the same b interact only with each
//     other, so maps of H x W pixels are also maps of H/d x (d W) pixels without dilation, in the same memory; for
//     columns they are H slices of W/d x d pixels. If d does not divide the size, the maps are copied into larger ones.
//   - Maps x whose channels do not fill their last block: the padding lanes become channels with weights of 0.

namespace basin::kernels {

template <class T>
void conv_cpu(const Exec&, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
              const ConvEpilogue&, FeatureView<T> out);
/// The convolution of [up(low), x] as in conv_winograd_upsampled(), if that is supported and faster than convolving the
/// parts one by one; otherwise does nothing and returns false.
bool conv_cpu_upsampled(const Exec&, FeatureView<const float> low, FeatureView<const float> x,
                        ConvWeight<const float> weight, View<const float, 1> bias, const ConvEpilogue&,
                        FeatureView<float> out);
/// Overwrites d_x.
void conv_cpu_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                            FeatureView<float> d_x);
/// Adds to d_weight.
void conv_cpu_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                              ConvWeight<float> d_weight);

}  // namespace basin::kernels

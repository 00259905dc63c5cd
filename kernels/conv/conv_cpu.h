#pragma once
#include "kernels/conv/conv.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on the CPU by oneDNN (kernels/conv/conv_onednn.h), same arguments and same mathematics. Problems that
// oneDNN has only its reference kernel for, thousands of times slower, are put to it as others that are equal:
//   - A dilation d of a kernel with one row or one column. The rows y = d a + b of one b meet only each other, so maps
//   of
//     H x W pixels are maps of H/d x (d W) pixels with no dilation, in the same memory; and columns are the same in H
//     slices of W/d x d pixels. Where d does not divide the size, the maps are copied into larger ones.
//   - Maps x whose channels do not fill their last block: the padding lanes count as channels with weights of 0.

namespace basin::kernels {

template <class T>
void conv_cpu(const Exec&, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
              const ConvEpilogue&, FeatureView<T> out);
/// d_x is overwritten.
void conv_cpu_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                            FeatureView<float> d_x);
/// d_weight is added to.
void conv_cpu_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                              ConvWeight<float> d_weight);

}  // namespace basin::kernels

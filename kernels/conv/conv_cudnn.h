#pragma once
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on an NVIDIA GPU by cuDNN, with the same mathematics as kernels/conv/conv.h, between maps of float or
// bfloat16, both in nchw or both in nhwc; maps of one channel are both. With bfloat16 the weight is also rounded to it,
// and so are the sums when they are stored, and again after a bias or a ReLU; a weight gradient is rounded before it is
// added. With Precision::tf32 products of floats may be rounded to TF32, sums never. cuDNN supports only symmetric
// padding: for others, x is copied into larger maps of zeros, or its gradient out of them. The first call for a shape
// measures cuDNN's algorithms on the GPU and keeps the fastest; with exec.deterministic the lowest-numbered
// deterministic one. This first call must not be captured in a graph; later calls may. The choices are cached in
// conv_algorithm_cache() (kernels/conv/conv_algorithms.h), which may also contain choices restored from a file. Other
// cuDNN objects are created once per shape; the 4096 most recently used shapes are cached. Not thread-safe. Throws if
// shapes do not match (check_convolution), and always in a build without CUDA.

namespace basin::kernels {

/// A bias without data is 0.
template <class X>
void conv_cudnn(const Exec&, FeatureView<const X> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue&, FeatureView<X> out);
/// Overwrites d_x.
template <class X>
void conv_cudnn_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const X> d_out,
                              FeatureView<X> d_x);
/// Adds to d_weight.
template <class X>
void conv_cudnn_backward_weight(const Exec&, FeatureView<const X> x, FeatureView<const X> d_out,
                                ConvWeight<float> d_weight);

}  // namespace basin::kernels

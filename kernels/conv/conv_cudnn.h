#pragma once
#include "kernels/conv/conv.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on an NVIDIA GPU by cuDNN, same mathematics as kernels/conv/conv.h, between maps of float or of bfloat16,
// both in nchw or both in nhwc; maps of one channel are either. With bfloat16 the weight is rounded to it too, and so
// are the sums where they are stored, once more where a bias or a ReLU follows; a weight gradient is rounded before it
// is added. With Precision::tf32 products of floats may be rounded to TF32, sums never. cuDNN pads both sides alike:
// where a geometry does not, x is copied into larger maps of zeros, or its gradient out of them.
// The first call with a shape measures cuDNN's algorithms on the GPU and keeps the fastest; with exec.deterministic the
// first by number of those that give the same bits from run to run. It must not lie in a captured graph; later calls
// may. The choices are kept in conv_algorithm_cache() (kernels/conv/conv_algorithms.h), or taken from there where they
// were handed in. What else cuDNN needs is made once per shape; the 4096 shapes last used are kept. Not for several
// threads at once. Shapes that do not belong together throw (check_convolution), as does any call in a build without
// CUDA.

namespace basin::kernels {

/// A bias without data is 0.
template <class X>
void conv_cudnn(const Exec&, FeatureView<const X> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue&, FeatureView<X> out);
/// d_x is overwritten.
template <class X>
void conv_cudnn_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const X> d_out,
                              FeatureView<X> d_x);
/// d_weight is added to.
template <class X>
void conv_cudnn_backward_weight(const Exec&, FeatureView<const X> x, FeatureView<const X> d_out,
                                ConvWeight<float> d_weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/conv.h"

// Convolution on an NVIDIA GPU by cuDNN, same mathematics as kernels/conv.h, float32 maps in nchw or nhwc; with
// Precision::tf32 products may be rounded to TF32, sums never. What cuDNN needs for a shape is made once; the 512
// shapes last used are kept. The first call with a shape measures cuDNN's algorithms on the GPU and keeps the fastest;
// with exec.deterministic it keeps the first by number of those that give the same bits from run to run. It must not
// lie in a captured graph; later calls may. Not for several threads at once. Shapes that do not belong together throw
// (check_convolution), as does any call where the build has no CUDA.

namespace basin::kernels {

/// As cuDNN numbers them, 91002 being 9.10.2: the library found now, and the headers that this was compiled with; and
/// the CUDA runtime inside the library, 12040 being 12.4. All 0 where the build has no CUDA.
struct CudnnVersions {
  int found = 0, built_with = 0, cuda = 0;
};
CudnnVersions cudnn_versions();

/// A bias without data is 0.
void conv_cudnn(const Exec&, FeatureView<const float> x, ConvWeight<const float> weight, View<const float, 1> bias,
                const ConvEpilogue&, FeatureView<float> out);
/// d_x is overwritten.
void conv_cudnn_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                              FeatureView<float> d_x);
/// d_weight is added to.
void conv_cudnn_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                                ConvWeight<float> d_weight);

}  // namespace basin::kernels

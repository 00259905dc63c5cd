#pragma once
#include <string>

#include "kernels/conv/conv.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on the CPU by oneDNN, same mathematics as kernels/conv/conv.h. Feature maps are blocked by 8 or 16 lanes,
// plain nchw where they have few channels, or nhwc in bfloat16. Primitives are made once per shape; the 512 last used
// are kept. Weights stay row-major for the caller and are reordered on the way in and out. The algorithm follows from
// the shape alone (winograd_applies), so the same machine with the same number of threads gives the same bits. Not for
// several threads at once. Shapes that do not belong together throw (check_convolution).

namespace basin::kernels {

/// The lanes that suit the instruction set best: 16 with AVX-512, else 8.
int onednn_block();
/// "oneDNN 2.6.3".
std::string onednn_version();

/// A bias without data is 0. For maps of float and of bfloat16: the weight is then rounded to bfloat16 too, and sums
/// are float32 until they are stored; a convolution in parts (ConvEpilogue::add) rounds after each.
template <class T>
void conv_onednn(const Exec&, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
                 const ConvEpilogue&, FeatureView<T> out);
/// d_x is overwritten.
void conv_onednn_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                               FeatureView<float> d_x);
/// d_weight is added to.
void conv_onednn_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                                 ConvWeight<float> d_weight);

}  // namespace basin::kernels

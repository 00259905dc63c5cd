#pragma once
#include <string>

#include "kernels/conv/conv.h"
#include "kernels/runtime/bfloat16.h"

// Convolution on the CPU by oneDNN, with the same mathematics as kernels/conv/conv.h. Feature maps are blocked by 8 or
// 16 lanes, plain nchw if they have few channels, or nhwc in bfloat16. Primitives are created once per shape and
// thread; the 512 most recently used of each thread are cached. Weights are row-major for the caller and reordered
// before and after. The algorithm depends only on the shape and the instruction set, so the same machine with the same
// number of threads gives the same bits. Thread-safe. Throws if shapes do not match (check_convolution). Maps may
// contain several images, `slices`, one below the other in each channel, which are convolved separately. For some
// problems oneDNN has only a slow reference kernel: kernels/conv/conv_cpu.h avoids them.

namespace basin::kernels {

/// The block size that suits the instruction set best: 16 with AVX-512, otherwise 8.
int onednn_block();
/// "oneDNN 2.6.3".
std::string onednn_version();

/// A bias without data is 0. For maps of float and of bfloat16: with bfloat16 the weight is rounded too, and sums are
/// float32 until they are stored; a convolution in parts (ConvEpilogue::add) rounds after each part.
template <class T>
void conv_onednn(const Exec&, FeatureView<const T> x, ConvWeight<const float> weight, View<const float, 1> bias,
                 const ConvEpilogue&, FeatureView<T> out, int slices = 1);
/// Overwrites d_x.
void conv_onednn_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                               FeatureView<float> d_x, int slices = 1);
/// Adds to d_weight.
void conv_onednn_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                                 ConvWeight<float> d_weight, int slices = 1);

}  // namespace basin::kernels

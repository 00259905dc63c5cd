#pragma once
#include "kernels/conv/conv.h"

namespace basin::kernels {

/// conv_plain_backward_weight for the first convolution of a network on the CPU: x of at most three plain channels,
/// d_out in blocks of 8 or 16, a square kernel of 1 or 3 with stride 1 that keeps the size
/// of the image, float32. Returns false, having done nothing, for anything else. Products
/// are summed in float32 along a row of pixels, rows in double. Same bits at any thread count.
bool conv_few_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                              ConvWeight<float> d_weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/conv/conv.h"

namespace basin::kernels {

/// conv_plain_backward_weight for the first convolution of a network on the CPU: x with at most three plain channels,
/// d_out in blocks of 8 or 16, a square kernel of 1, 3 or 7 with any stride and the same padding on all sides, float32.
/// Returns false and does nothing in all other cases. Products are summed in float32 along a row of pixels, rows in
/// double. Same bits at any thread count.
bool conv_first_layer_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                                      ConvWeight<float> d_weight);

}  // namespace basin::kernels

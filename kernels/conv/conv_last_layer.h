#pragma once
#include "kernels/conv/conv.h"

namespace basin::kernels {

/// conv_plain_backward_data for the last layer of a network on the CPU, a transposed convolution with a 2x2 kernel and
/// stride 2: d_out in blocks of 8 or 16, d_x with at most eight plain channels and twice the size, float32. Returns
/// false and does nothing in all other cases. oneDNN would compute a whole block of channels of d_x, which then have to
/// be copied. Same bits at any thread count.
bool conv_last_layer_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                                   FeatureView<float> d_x);

}  // namespace basin::kernels

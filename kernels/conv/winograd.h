#pragma once
#include "kernels/conv/conv.h"

// Convolution on the CPU by Winograd's algorithm F(4x4, 3x3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
// Networks", 2016). It computes 4x4 outputs from 6x6 inputs with 36 multiplications per pair of channels, where direct
// convolution with a 3x3 kernel needs 144. A larger kernel is a sum of 3x3 ones whose products are added before they
// are transformed back: one of 7x7 takes 9 of them, with 324 multiplications instead of 784. Kernels of 3x1 and 1x3
// taps, with any dilation, use F(4, 3): 6 multiplications for 4 outputs along the axis instead of 12. Errors are those
// of float32 sums with numbers some ten times larger. Results are the same bits at any thread count; they depend on the
// instruction set, and on where in the image a pixel lies, because the tiles do.

namespace basin::kernels {

/// Whether this is faster than direct convolution, and supported: square kernels of odd sizes from 3 on with stride 1
/// and the padding that keeps the size of the image, both maps in the same blocked layout, on a processor with AVX2.
/// The environment variable BASIN_WINOGRAD=0 turns it off.
bool winograd_applies(const ConvGeometry&, int in_block, int out_block, int in_channels, int out_channels);

/// As conv_plain(), conv_plain_backward_data() and conv_plain_backward_weight(), where winograd_applies().
void conv_winograd(const Exec&, FeatureView<const float> x, ConvWeight<const float> weight, View<const float, 1> bias,
                   const ConvEpilogue&, FeatureView<float> out);
/// The convolution of the concatenation [up(low), x] with a 3x3 kernel, where up repeats each pixel 2x2. The number of
/// channels of `low` must be a multiple of the block. Nothing is concatenated or repeated in memory, and 11 of 36
/// products are left out for the channels of `low`, because they are 0.
void conv_winograd_upsampled(const Exec&, FeatureView<const float> low, FeatureView<const float> x,
                             ConvWeight<const float> weight, View<const float, 1> bias, const ConvEpilogue&,
                             FeatureView<float> out);
void conv_winograd_backward_data(const Exec&, ConvWeight<const float> weight, FeatureView<const float> d_out,
                                 FeatureView<float> d_x);
void conv_winograd_backward_weight(const Exec&, FeatureView<const float> x, FeatureView<const float> d_out,
                                   ConvWeight<float> d_weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Resizing and pooling with overlapping windows, in any layout. Gradients are gathered instead of scattered, so that
// sums have a fixed order: same bits at any thread count, and on a GPU from run to run. Padding lanes stay 0.

namespace basin::kernels {

/// Bilinear resize with pixel centres at half integers ("align_corners = False"): output pixel d is at (d + 0.5) in /
/// out - 0.5 of the input, but at least 0, and the edge of the input is repeated. N and C do not change.
template <class X>
void resize_bilinear(const Exec&, FeatureView<const X> in, FeatureView<X> out);
/// d_in is overwritten.
template <class X>
void resize_bilinear_backward(const Exec&, FeatureView<const X> d_out, FeatureView<X> d_in);

/// 3x3 max pooling with stride 2 and padding 1: out[y, x] = the largest of the values at 2y - 1 ... 2y + 1 and 2x - 1
/// ... 2x + 1 inside the image; out has (H + 1) / 2 rows and (W + 1) / 2 columns. `chosen` receives which one (0..8,
/// row-major), for the backward pass, and may be without data. Of equal values the first wins; NaN wins over numbers.
template <class X>
void max_pool_3x3(const Exec&, FeatureView<const X> in, FeatureView<X> out, FeatureView<uint8_t> chosen);
/// d_in is overwritten.
template <class X>
void max_pool_3x3_backward(const Exec&, FeatureView<const X> d_out, FeatureView<const uint8_t> chosen,
                           FeatureView<X> d_in);

}  // namespace basin::kernels

#pragma once
#include "kernels/exec.h"
#include "kernels/view.h"

// 2x2 max pooling, and nearest up-sampling by 2 fused with concatenation, in any layout. Image sides are even.

namespace basin::kernels {

/// out[n,c,y,x] = the largest of the four values in under it; `chosen` says which (0..3, row-major), for the backward.
/// Of equal values the first wins, as in PyTorch; a NaN wins over numbers.
template <class T>
void max_pool(const Exec&, FeatureView<const T> in, FeatureView<T> out, FeatureView<uint8_t> chosen);

/// d_in = (add ? d_in : 0) + d_out sent to the chosen pixel. Same bits at any thread count.
template <class T>
void max_pool_backward(const Exec&, FeatureView<const T> d_out, FeatureView<const uint8_t> chosen, FeatureView<T> d_in,
                       bool add);

/// out = [up(low), skip] along the channels: up(low) repeats each pixel 2x2. low has half the sides of skip and out.
template <class T>
void upsample_concat(const Exec&, FeatureView<const T> low, FeatureView<const T> skip, FeatureView<T> out);

/// d_low = the sum of the four d_out over a pixel; d_skip = the rest of d_out. Both are overwritten.
template <class T>
void upsample_concat_backward(const Exec&, FeatureView<const T> d_out, FeatureView<T> d_low, FeatureView<T> d_skip);

/// to = from, in another layout. Padding lanes become 0.
template <class T>
void change_layout(const Exec&, FeatureView<const T> from, FeatureView<T> to);

/// to += from, both of one shape and layout.
template <class T>
void add_to(const Exec&, FeatureView<const T> from, FeatureView<T> to);

}  // namespace basin::kernels

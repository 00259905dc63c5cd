#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// 2x2 max pooling and nearest-neighbour up-sampling by 2, in any layout. Image sides must be even. Maps of bfloat16 are
// summed in float and rounded when stored.

namespace basin::kernels {

/// out[n,c,y,x] = the largest of the corresponding four values of in; `chosen` receives which one (0..3, row-major),
/// for the backward pass, and may be without data. Of equal values the first wins, as in PyTorch; NaN wins over
/// numbers.
template <class T>
void max_pool(const Exec&, FeatureView<const T> in, FeatureView<T> out, FeatureView<uint8_t> chosen);

/// d_in = (add ? d_in : 0) + d_out at the chosen pixel. Same bits at any thread count.
template <class T>
void max_pool_backward(const Exec&, FeatureView<const T> d_out, FeatureView<const uint8_t> chosen, FeatureView<T> d_in,
                       bool add);

/// out = the channels first, first + 1, ... of low, each pixel repeated 2x2. low has half the sides of out; `first`
/// must be the first channel of a group.
template <class T>
void upsample(const Exec&, FeatureView<const T> low, int first, FeatureView<T> out);

/// Overwrites those channels of d_low with the sums of the four d_out of each pixel.
template <class T>
void upsample_backward(const Exec&, FeatureView<const T> d_out, int first, FeatureView<T> d_low);

/// to = from, in another layout or element type. Padding lanes become 0.
template <class From, class To>
void change_layout(const Exec&, FeatureView<const From> from, FeatureView<To> to);

/// to += from, for the same shape and layout.
template <class T>
void add_to(const Exec&, FeatureView<const T> from, FeatureView<T> to);

}  // namespace basin::kernels

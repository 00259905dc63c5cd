#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// The last 1x1 convolution of a head: from feature maps in any layout to a few plain nchw maps.

namespace basin::kernels {

/// out[n,o,y,x] = bias[o] + sum over c of weight[o,c] x[n,c,y,x]. At most 8 outputs. The element type X is float,
/// double, or bfloat16; with bfloat16 all else is float.
template <class X, class T = Arithmetic<X>>
void pointwise(const Exec&, FeatureView<const X> x, View<const T, 2> weight, View<const T, 1> bias, View<T, 4> out);

/// Overwrites d_x, and adds to d_weight and d_bias. Same bits at any thread count.
template <class X, class T = Arithmetic<X>>
void pointwise_backward(const Exec&, FeatureView<const X> x, View<const T, 2> weight, View<const T, 4> d_out,
                        FeatureView<X> d_x, View<T, 2> d_weight, View<T, 1> d_bias);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Element-wise operations on feature maps in any layout; padding lanes stay 0. Maps of bfloat16 are computed in float.

namespace basin::kernels {

enum class Activation { relu, sigmoid, tanh };

/// out = f(x); `out` may be x. NaN stays NaN.
template <class X>
void activate(const Exec&, Activation, FeatureView<const X> x, FeatureView<X> out);
/// d_x = f'(x) d_out, from out = f(x); d_x may be d_out. The derivative of the ReLU at 0 is 0.
template <class X>
void activate_backward(const Exec&, Activation, FeatureView<const X> out, FeatureView<const X> d_out,
                       FeatureView<X> d_x);

/// out = a + b, then a ReLU if `relu`; `out` may be a.
template <class X>
void add(const Exec&, FeatureView<const X> a, FeatureView<const X> b, bool relu, FeatureView<X> out);

/// out += bias[c], then a ReLU if `relu`.
template <class X>
void add_bias(const Exec&, const Arithmetic<X>* bias, bool relu, FeatureView<X> out);
/// The backward pass of out = z + bias, with or without a ReLU: d_out becomes the gradient of z, and d_bias [C] is
/// added to. Without a ReLU `out` may be a view without data. Same bits at any thread count.
template <class X>
void add_bias_backward(const Exec&, bool relu, FeatureView<const X> out, FeatureView<X> d_out, Arithmetic<X>* d_bias);

}  // namespace basin::kernels

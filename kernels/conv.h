#pragma once
#include "kernels/exec.h"
#include "kernels/view.h"

// Convolution with a square odd kernel, stride 1 and the zero padding that keeps the image size ("cross-correlation",
// methods.md 0). These are the plain versions: any layout, float and double, the oracle of the library versions.

namespace basin::kernels {

/// out[n,o,y,x] = bias[o] + sum over i, v, u of weight[o,i,v,u] x[n,i,y+v-k/2,x+u-k/2]. A bias without data is 0.
template <class T>
void conv_plain(const Exec&, FeatureView<const T> x, View<const T, 4> weight, View<const T, 1> bias,
                FeatureView<T> out);
/// d_x is overwritten.
template <class T>
void conv_plain_backward_data(const Exec&, View<const T, 4> weight, FeatureView<const T> d_out, FeatureView<T> d_x);
/// d_weight is added to. Same bits at any thread count.
template <class T>
void conv_plain_backward_weight(const Exec&, FeatureView<const T> x, FeatureView<const T> d_out, View<T, 4> d_weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Convolution with a square odd kernel, stride 1 and the zero padding that keeps the image size ("cross-correlation",
// methods.md 0). These are the plain versions: any layout, float and double, the oracle of the library versions.

namespace basin::kernels {

/// Of a weight [out, in, k, k] the input channels first, first + 1, ..., as many as the maps have that it meets: for
/// maps that are concatenated in thought only, and convolved part by part.
template <class T>
struct ConvWeight {
  View<T, 4> whole;
  int first = 0;

  ConvWeight(View<T, 4> w, int from = 0) : whole(w), first(from) {}
};

/// Throws unless the shapes are those of one convolution: x [N, in, H, W], out [N, out, H, W].
template <class X, class W, class Out>
void check_convolution(FeatureView<X> x, const ConvWeight<W>& weight, FeatureView<Out> out) {
  const int* dim = weight.whole.dim;
  BASIN_CHECK(x.n == out.n && x.h == out.h && x.w == out.w && weight.first >= 0 && weight.first + x.c <= dim[1] &&
                  dim[0] == out.c && dim[2] == dim[3] && dim[2] % 2 == 1,
              "x ", x, ", weight ", weight.whole, " from ", weight.first, ", out ", out);
}

/// What is done to the sums before they are stored, in this order.
struct ConvEpilogue {
  bool add = false;   // out's old values are added
  bool relu = false;  // negative values become 0
};

/// out[n,o,y,x] = bias[o] + sum over i, v, u of weight[o,i,v,u] x[n,i,y+v-k/2,x+u-k/2]. A bias without data is 0.
template <class T>
void conv_plain(const Exec&, FeatureView<const T> x, ConvWeight<const T> weight, View<const T, 1> bias,
                const ConvEpilogue&, FeatureView<T> out);
/// d_x is overwritten.
template <class T>
void conv_plain_backward_data(const Exec&, ConvWeight<const T> weight, FeatureView<const T> d_out, FeatureView<T> d_x);
/// d_weight is added to. Same bits at any thread count.
template <class T>
void conv_plain_backward_weight(const Exec&, FeatureView<const T> x, FeatureView<const T> d_out,
                                ConvWeight<T> d_weight);

}  // namespace basin::kernels

#pragma once
#include "kernels/conv/conv_geometry.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Convolution ("cross-correlation") with any ConvGeometry. These are the plain implementations for any layout, float
// and double: the reference for the library versions.

namespace basin::kernels {

/// The weight [out, in, kernel_h, kernel_w] of a convolution, its geometry, and which input channels of it are used:
/// from `first` on, as many as the maps have. Maps can thus be convolved part by part instead of being concatenated.
template <class T>
struct ConvWeight {
  View<T, 4> whole;
  int first = 0;
  ConvGeometry geometry;

  /// Stride 1 and the padding that keeps the size of the image.
  ConvWeight(View<T, 4> w, int from = 0) : ConvWeight(w, from, ConvGeometry::same(w.dim[2], w.dim[3])) {}
  ConvWeight(View<T, 4> w, int from, const ConvGeometry& g) : whole(w), first(from), geometry(g) {}
};

/// Throws unless the shapes are those of one convolution: x [N, in, H, W], out [N, out, geometry.out_h(H),
/// geometry.out_w(W)].
template <class X, class W, class Out>
void check_convolution(FeatureView<X> x, const ConvWeight<W>& weight, FeatureView<Out> out) {
  const int* dim = weight.whole.dim;
  const ConvGeometry& g = weight.geometry;
  BASIN_CHECK(g.is_valid() && x.n == out.n && out.h == g.out_h(x.h) && out.w == g.out_w(x.w) && weight.first >= 0 &&
                  weight.first + x.c <= dim[1] && dim[0] == out.c && dim[2] == g.kernel_h && dim[3] == g.kernel_w,
              "x ", x, ", weight ", weight.whole, " from ", weight.first, ", ", g, ", out ", out);
}

/// Operations on the sums before they are stored, in this order.
struct ConvEpilogue {
  bool add = false;   // add the old values of out
  bool relu = false;  // set negative values to 0
};

/// out[n,o,y,x] = bias[o] + sum over i, v, u of
/// weight[o,i,v,u] x[n, i, stride y + dilation v - top, stride x + dilation u - left].
/// A bias without data is 0.
template <class T>
void conv_plain(const Exec&, FeatureView<const T> x, ConvWeight<const T> weight, View<const T, 1> bias,
                const ConvEpilogue&, FeatureView<T> out);
/// Overwrites d_x.
template <class T>
void conv_plain_backward_data(const Exec&, ConvWeight<const T> weight, FeatureView<const T> d_out, FeatureView<T> d_x);
/// Adds to d_weight. Same bits at any thread count.
template <class T>
void conv_plain_backward_weight(const Exec&, FeatureView<const T> x, FeatureView<const T> d_out,
                                ConvWeight<T> d_weight);

}  // namespace basin::kernels

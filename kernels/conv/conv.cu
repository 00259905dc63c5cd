#include "kernels/conv/conv.h"

#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

template <class T>
struct Conv {
  FeatureShape shape;
  FeatureView<const T> x;
  View<const T, 4> weight;
  int first;
  ConvGeometry g;
  const T* bias;
  ConvEpilogue epilogue;
  T* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups()), o = at.channel;
    T sum = 0;
    if (o < shape.c) {
      if (bias) sum = bias[o];
      for (int i = 0; i < x.c; ++i)
        for (int v = 0; v < g.kernel_h; ++v)
          for (int u = 0; u < g.kernel_w; ++u) {
            const int yy = y * g.stride + v * g.dilation - g.top, xx = at.x * g.stride + u * g.dilation - g.left;
            if (yy >= 0 && yy < x.h && xx >= 0 && xx < x.w) sum += weight(o, first + i, v, u) * x(n, i, yy, xx);
          }
      if (epilogue.add) sum += out[at.offset];
      if (epilogue.relu && sum < 0) sum = 0;
    }
    out[at.offset] = sum;
  }
};

template <class T>
struct ConvBackwardData {
  FeatureShape shape;
  View<const T, 4> weight;
  int first;
  ConvGeometry g;
  FeatureView<const T> d_out;
  T* d_x;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups());
    T sum = 0;
    if (at.channel < shape.c)
      for (int o = 0; o < d_out.c; ++o)
        for (int v = 0; v < g.kernel_h; ++v)
          for (int u = 0; u < g.kernel_w; ++u) {
            // This tap multiplies this pixel only if the position of the output pixel is a multiple of the stride.
            const int down = y + g.top - v * g.dilation, right = at.x + g.left - u * g.dilation;
            const int yy = down / g.stride, xx = right / g.stride;
            if (down >= 0 && right >= 0 && down == yy * g.stride && right == xx * g.stride && yy < d_out.h &&
                xx < d_out.w)
              sum += weight(o, first + at.channel, v, u) * d_out(n, o, yy, xx);
          }
    d_x[at.offset] = sum;
  }
};

template <class T>
struct ConvBackwardWeight {
  FeatureView<const T> x, d_out;
  View<T, 4> d_weight;
  int first;
  ConvGeometry g;

  BASIN_HD void operator()(int64_t index) const {
    const int64_t area = int64_t(g.kernel_h) * g.kernel_w;
    const int u = int(index % g.kernel_w), v = int(index / g.kernel_w % g.kernel_h);
    const int i = int(index / area % x.c), o = int(index / area / x.c);
    double sum = 0;
    for (int n = 0; n < x.n; ++n)
      for (int y = 0; y < d_out.h; ++y)
        for (int xx = 0; xx < d_out.w; ++xx) {
          const int yi = y * g.stride + v * g.dilation - g.top, xi = xx * g.stride + u * g.dilation - g.left;
          if (yi >= 0 && yi < x.h && xi >= 0 && xi < x.w) sum += double(x(n, i, yi, xi)) * double(d_out(n, o, y, xx));
        }
    d_weight(o, first + i, v, u) += T(sum);
  }
};

}  // namespace

template <class T>
void conv_plain(const Exec& exec, FeatureView<const T> x, ConvWeight<const T> weight, View<const T, 1> bias,
                const ConvEpilogue& epilogue, FeatureView<T> out) {
  check_convolution(x, weight, out);
  const FeatureShape shape(out);
  for_each_feature(exec, shape,
                   Conv<T>{shape, x, weight.whole, weight.first, weight.geometry, bias.data, epilogue, out.data});
}

template <class T>
void conv_plain_backward_data(const Exec& exec, ConvWeight<const T> weight, FeatureView<const T> d_out,
                              FeatureView<T> d_x) {
  check_convolution(d_x, weight, d_out);
  const FeatureShape shape(d_x);
  for_each_feature(exec, shape,
                   ConvBackwardData<T>{shape, weight.whole, weight.first, weight.geometry, d_out, d_x.data});
}

template <class T>
void conv_plain_backward_weight(const Exec& exec, FeatureView<const T> x, FeatureView<const T> d_out,
                                ConvWeight<T> d_weight) {
  check_convolution(x, d_weight, d_out);
  const View<T, 4>& whole = d_weight.whole;
  const int64_t n = int64_t(whole.dim[0]) * x.c * whole.dim[2] * whole.dim[3];
  for_each(exec, n, ConvBackwardWeight<T>{x, d_out, whole, d_weight.first, d_weight.geometry}, 1);
}

#define BASIN_INSTANTIATE(T)                                                                                         \
  template void conv_plain<T>(const Exec&, FeatureView<const T>, ConvWeight<const T>, View<const T, 1>,              \
                              const ConvEpilogue&, FeatureView<T>);                                                  \
  template void conv_plain_backward_data<T>(const Exec&, ConvWeight<const T>, FeatureView<const T>, FeatureView<T>); \
  template void conv_plain_backward_weight<T>(const Exec&, FeatureView<const T>, FeatureView<const T>, ConvWeight<T>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/nn/conv.h"

#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

template <class T>
struct Conv {
  FeatureShape shape;
  FeatureView<const T> x;
  View<const T, 4> weight;
  int first;
  const T* bias;
  ConvEpilogue epilogue;
  T* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups()), k = weight.dim[2], o = at.channel;
    T sum = 0;
    if (o < shape.c) {
      if (bias) sum = bias[o];
      for (int i = 0; i < x.c; ++i)
        for (int v = 0; v < k; ++v)
          for (int u = 0; u < k; ++u) {
            const int yy = y + v - k / 2, xx = at.x + u - k / 2;
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
  FeatureView<const T> d_out;
  T* d_x;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups()), k = weight.dim[2];
    T sum = 0;
    if (at.channel < shape.c)
      for (int o = 0; o < d_out.c; ++o)
        for (int v = 0; v < k; ++v)
          for (int u = 0; u < k; ++u) {
            const int yy = y - v + k / 2, xx = at.x - u + k / 2;
            if (yy >= 0 && yy < d_out.h && xx >= 0 && xx < d_out.w)
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

  BASIN_HD void operator()(int64_t index) const {
    const int k = d_weight.dim[2], u = int(index % k), v = int(index / k % k);
    const int i = int(index / k / k % x.c), o = int(index / k / k / x.c);
    double sum = 0;
    for (int n = 0; n < x.n; ++n)
      for (int y = 0; y < x.h; ++y)
        for (int xx = 0; xx < x.w; ++xx) {
          const int yi = y + v - k / 2, xi = xx + u - k / 2;
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
  for_each_feature(exec, shape, Conv<T>{shape, x, weight.whole, weight.first, bias.data, epilogue, out.data});
}

template <class T>
void conv_plain_backward_data(const Exec& exec, ConvWeight<const T> weight, FeatureView<const T> d_out,
                              FeatureView<T> d_x) {
  check_convolution(d_x, weight, d_out);
  const FeatureShape shape(d_x);
  for_each_feature(exec, shape, ConvBackwardData<T>{shape, weight.whole, weight.first, d_out, d_x.data});
}

template <class T>
void conv_plain_backward_weight(const Exec& exec, FeatureView<const T> x, FeatureView<const T> d_out,
                                ConvWeight<T> d_weight) {
  check_convolution(x, d_weight, d_out);
  const View<T, 4>& whole = d_weight.whole;
  const int64_t n = int64_t(whole.dim[0]) * x.c * whole.dim[2] * whole.dim[3];
  for_each(exec, n, ConvBackwardWeight<T>{x, d_out, whole, d_weight.first}, 1);
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

#include "kernels/nn/pointwise.h"

#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

constexpr int max_outputs = 8;

/// The weights are padded to whole groups: weight[o * lanes + c], 0 beyond C. Lanes are added up as a tree, so that the
/// order is the same for every vector width.
template <class X, int Lanes, class T = Arithmetic<X>>
struct Pointwise {
  FeatureView<const X> x;
  const T* weight;
  const T* bias;
  View<T, 4> out;

  /// A row of pixels of one sample: the work of a CPU thread.
  BASIN_HD void operator()(int64_t row) const {
    const int n = int(row / x.h), y = int(row % x.h);
    for (int o = 0; o < out.dim[1]; ++o) {
      T* to = output(n, o) + int64_t(y) * x.w;
      for (int i = 0; i < x.w; ++i)
        to[i] = bias[o] + sum(n, int64_t(y) * x.w + i, o);
    }
  }
  /// One pixel of maps with a single channel: the work of a GPU thread.
  BASIN_HD void operator()(const PixelAt& at) const {
    for (int o = 0; o < out.dim[1]; ++o)
      output(at.n, o)[at.pixel] = bias[o] + sum(at.n, at.pixel, o);
  }

 private:
  BASIN_HD T* output(int n, int o) const { return out.data + (int64_t(n) * out.dim[1] + o) * x.pixels(); }

  BASIN_HD T sum(int n, int64_t pixel, int o) const {
    const int groups = x.groups(), block = x.block;
    const T* w = weight + int64_t(o) * groups * block;
    T sum[Lanes] = {};
    for (int g = 0; g < groups; ++g) {
      const X* from = x.data + ((int64_t(n) * groups + g) * x.pixels() + pixel) * block;
      for (int part = 0; part < block; part += Lanes) {
#pragma omp simd
        for (int lane = 0; lane < Lanes; ++lane)
          sum[lane] += w[g * block + part + lane] * T(from[part + lane]);
      }
    }
    for (int half = Lanes / 2; half > 0; half /= 2)
      for (int lane = 0; lane < half; ++lane)
        sum[lane] += sum[lane + half];
    return sum[0];
  }
};

template <class T>
struct PadWeight {
  View<const T, 2> weight;
  int lanes;
  T* padded;

  BASIN_HD void operator()(int64_t i) const {
    const int c = int(i % lanes), o = int(i / lanes);
    padded[i] = c < weight.dim[1] ? weight(o, c) : T(0);
  }
};

template <class X, class T = Arithmetic<X>>
struct PointwiseInputGradient {
  FeatureShape shape;
  const T* weight;  // padded
  int lanes;
  View<const T, 4> d_out;
  X* d_x;

  BASIN_HD void operator()(const PixelAt& at) const {
    const int64_t pixels = shape.pixels();
    T sum = 0;
    for (int o = 0; o < d_out.dim[1]; ++o)
      sum += weight[o * lanes + at.channel] * d_out.data[(int64_t(at.n) * d_out.dim[1] + o) * pixels + at.pixel];
    d_x[at.offset] = sum;
  }
};

template <class X, class T = Arithmetic<X>>
struct WeightSums {
  FeatureShape shape;
  const X* x;
  View<const T, 4> d_out;
  int output;

  BASIN_HD void operator()(Sums<T, 1>& sum, const PixelAt& at) const {
    const int64_t plane = int64_t(at.n) * d_out.dim[1] + output;
    sum = {{T(x[at.offset]) * d_out.data[plane * shape.pixels() + at.pixel]}};
  }
};

struct BiasSums {
  template <class T>
  BASIN_HD void operator()(Sums<T, 1>& sum, T d_out) const {
    sum = {{d_out}};
  }
};

template <class T>
struct AddTotals {
  const double* total;
  T* to;

  BASIN_HD void operator()(int64_t i) const { to[i] += T(total[i]); }
};

}  // namespace

template <class X, class T>
void pointwise(const Exec& exec, FeatureView<const X> x, View<const T, 2> weight, View<const T, 1> bias,
               View<T, 4> out) {
  BASIN_CHECK(weight.dim[1] == x.c && bias.dim[0] == weight.dim[0] && out.dim[1] == weight.dim[0], "x ", x, ", weight ",
              weight, ", out ", out);
  BASIN_CHECK(out.dim[0] == x.n && out.dim[2] == x.h && out.dim[3] == x.w, "x ", x, ", out ", out);
  BASIN_CHECK(weight.dim[0] <= max_outputs, "weight ", weight);
  const int lanes = x.groups() * x.block;
  const Temp<T> padded(exec, int64_t(weight.dim[0]) * lanes);
  for_each(exec, padded.size(), PadWeight<T>{weight, lanes, padded.data()});
  const FeatureView<const T> one_channel{nullptr, x.n, 1, x.h, x.w, 1};
  const auto run = [&](const auto& functor) {
    exec.device == Device::cpu ? for_each(exec, int64_t(x.n) * x.h, functor, 4)
                               : for_each_feature(exec, FeatureShape(one_channel), functor);
  };
  if (x.block % 16 == 0)
    run(Pointwise<X, 16>{x, padded.data(), bias.data, out});
  else if (x.block % 8 == 0)
    run(Pointwise<X, 8>{x, padded.data(), bias.data, out});
  else
    run(Pointwise<X, 1>{x, padded.data(), bias.data, out});
}

template <class X, class T>
void pointwise_backward(const Exec& exec, FeatureView<const X> x, View<const T, 2> weight, View<const T, 4> d_out,
                        FeatureView<X> d_x, View<T, 2> d_weight, View<T, 1> d_bias) {
  const FeatureShape shape(x);
  BASIN_CHECK(shape.same(d_x) && weight.dim[1] == x.c && d_out.dim[1] == weight.dim[0], "x ", x, ", d_out ", d_out);
  BASIN_CHECK(d_weight.size() == weight.size() && d_bias.dim[0] == weight.dim[0], "d_weight ", d_weight);
  const int lanes = x.groups() * x.block, outputs = weight.dim[0];
  const Temp<T> padded(exec, int64_t(outputs) * lanes);
  for_each(exec, padded.size(), PadWeight<T>{weight, lanes, padded.data()});
  for_each_feature(exec, shape, PointwiseInputGradient<X>{shape, padded.data(), lanes, d_out, d_x.data});
  const Temp<double> total(exec, x.c);
  for (int o = 0; o < outputs; ++o) {
    sum_channels<1>(exec, shape, ChannelTable<T, 0>(), WeightSums<X>{shape, x.data, d_out, o}, total.data());
    for_each(exec, x.c, AddTotals<T>{total.data(), d_weight.data + int64_t(o) * x.c});
  }
  const FeatureView<const T> maps{d_out.data, d_out.dim[0], outputs, d_out.dim[2], d_out.dim[3], 1};
  const Temp<double> bias_total(exec, outputs);
  sum_channels<1>(exec, FeatureShape(maps), ChannelTable<T, 0>(), {d_out.data}, BiasSums(), bias_total.data());
  for_each(exec, outputs, AddTotals<T>{bias_total.data(), d_bias.data});
}

#define BASIN_INSTANTIATE(X, T)                                                                                     \
  template void pointwise<X, T>(const Exec&, FeatureView<const X>, View<const T, 2>, View<const T, 1>, View<T, 4>); \
  template void pointwise_backward<X, T>(const Exec&, FeatureView<const X>, View<const T, 2>, View<const T, 4>,     \
                                         FeatureView<X>, View<T, 2>, View<T, 1>);
BASIN_INSTANTIATE(float, float)
BASIN_INSTANTIATE(bfloat16, float)
BASIN_INSTANTIATE(double, double)  // for the gradient checks
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

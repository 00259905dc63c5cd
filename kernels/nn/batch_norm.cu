#include "kernels/nn/batch_norm.h"

#include <cmath>

#include "kernels/nn/batch_norm_numbers.h"

namespace basin::kernels {
namespace {

/// The pivot of a channel, its first value.
template <class X>
struct FirstValue {
  using Value = Arithmetic<X>;
  static constexpr int count = 1;
  FeatureView<const X> x;

  BASIN_HD Value operator()(int, int channel) const { return channel < x.c ? Value(x(0, channel, 0, 0)) : Value(0); }
};

/// No pivot, where those of several processes differ.
template <class X>
struct NoPivot {
  FeatureView<const X> x;

  BASIN_HD double operator()(int, int) const { return 0; }
};

/// A running statistic after one more batch.
template <class T>
BASIN_HD T blended(T running, T batch, T momentum) {
  return momentum == 1 ? batch : running + momentum * (batch - running);
}

template <class T>
struct UpdateRunning {
  View<const T, 1> batch;
  View<T, 1> running;
  T momentum;

  BASIN_HD void operator()(int64_t i) const { running(i) = blended(running(i), batch(i), momentum); }
};

/// Sums of (x - pivot) and of its square. The pivot avoids cancellation.
struct Moments {
  template <class T>
  BASIN_HD void operator()(Sums<T, 2>& sum, T x, T pivot) const {
    const T d = x - pivot;
    sum = {{d, d * d}};
  }
};

template <class X, class Pivot, class T = Arithmetic<X>>
struct FinishMoments {
  Pivot pivot;
  const double* total;  // [2, C]
  double count;
  T epsilon, momentum;
  NormStats<T> stats;
  T *running_mean, *running_var;

  BASIN_HD void operator()(int64_t c) const {
    const int channels = pivot.x.c;
    if (c >= channels) return;
    const double *sum = total, *sum_of_squares = total + channels;
    const double d = sum[c] / count, mean = double(pivot(0, int(c))) + d;
    const double difference = sum_of_squares[c] / count - d * d, variance = difference > 0 ? difference : 0;
    stats.mean[c] = T(mean);
    stats.inverse_std[c] = T(1 / sqrt(variance + double(epsilon)));
    const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
    running_mean[c] = blended(running_mean[c], T(mean), momentum);
    running_var[c] = blended(running_var[c], T(unbiased), momentum);
  }
};

struct NormRelu {
  template <class T>
  BASIN_HD void operator()(T& out, T x, T mean, T scale, T beta) const {
    const T z = affine(x, mean, scale, beta);
    out = z < 0 ? T(0) : z;
  }
};

struct NormAddRelu {
  template <class T>
  BASIN_HD void operator()(T& out, T a, T b, T mean_a, T scale_a, T mean_b, T scale_b, T beta) const {
    const T z = affine(a, b, mean_a, scale_a, mean_b, scale_b, beta);
    out = z < 0 ? T(0) : z;
  }
};

/// Sums of d_z and d_z (x - mean), where z is the input of the ReLU.
struct GradientSums {
  template <class T>
  BASIN_HD void operator()(Sums<T, 2>& sum, T x, T d, T mean, T scale, T beta) const {
    const T d_z = affine(x, mean, scale, beta) > 0 ? d : T(0);
    sum = {{d_z, d_z * (x - mean)}};
  }
};

struct TwoBranchGradientSums {
  template <class T>
  BASIN_HD void operator()(Sums<T, 3>& sum, T a, T b, T d, T mean_a, T scale_a, T mean_b, T scale_b, T beta) const {
    const T d_z = affine(a, b, mean_a, scale_a, mean_b, scale_b, beta) > 0 ? d : T(0);
    sum = {{d_z, d_z * (a - mean_a), d_z * (b - mean_b)}};
  }
};

/// d_x = gamma inverse_std (d_z - mean(d_z) - normalised(x) mean(d_z normalised(x))), per channel, where
/// slope = inverse_std mean(d_z normalised(x)).
struct InputGradient {
  template <class T>
  BASIN_HD void operator()(T& d_x, T x, T d, T mean, T scale, T beta, T mean_d, T slope) const {
    const T d_z = affine(x, mean, scale, beta) > 0 ? d : T(0);
    d_x = scale * ((d_z - mean_d) - (x - mean) * slope);
  }
};

struct TwoBranchInputGradient {
  template <class T>
  BASIN_HD void operator()(T& d_a, T& d_b, T a, T b, T d, T mean_a, T scale_a, T mean_b, T scale_b, T beta, T mean_d,
                           T slope_a, T slope_b) const {
    const T d_z = affine(a, b, mean_a, scale_a, mean_b, scale_b, beta) > 0 ? d : T(0);
    d_a = scale_a * ((d_z - mean_d) - (a - mean_a) * slope_a);
    d_b = scale_b * ((d_z - mean_d) - (b - mean_b) * slope_b);
  }
};

/// The means and scales of two branches, and the sum of their betas.
template <class X>
struct TwoBranchNumbers {
  using Value = Arithmetic<X>;
  static constexpr int count = 5;
  BranchNumbers<X> a, b;

  BASIN_HD Value operator()(int k, int channel) const {
    return k == 4 ? a(2, channel) + b(2, channel) : k < 2 ? a(k, channel) : b(k - 2, channel);
  }
};

template <class X>
struct TwoBranchFinishGradient {
  FinishGradient<X> a, b;

  BASIN_HD void operator()(int64_t c) const {
    a(c);
    b(c);
  }
};

}  // namespace

template <class X>
void norm_statistics(const Exec& exec, FeatureView<const X> x, Arithmetic<X> epsilon, Arithmetic<X> momentum,
                     NormStats<Arithmetic<X>> stats, Arithmetic<X>* running_mean, Arithmetic<X>* running_var) {
  BASIN_CHECK(x.n > 0 && x.pixels() > 0, "x ", x);
  const FeatureShape shape(x);
  const Temp<double> total(exec, int64_t(2) * x.c);
  const auto finish = [&]<class Pivot>(const Pivot& pivot) {
    return FinishMoments<X, Pivot>{pivot,        total.data(), values_per_channel(exec, x), epsilon, momentum, stats,
                                   running_mean, running_var};
  };
  const FirstValue<X> pivot{x};
  if (!exec.batches) return sum_channels<2>(exec, shape, pivot, {x.data}, Moments(), total.data(), finish(pivot));
  sum_channels<2>(exec, shape, pivot, {x.data}, Moments(), total.data());
  double *const sum = total.data(), *const squares = sum + x.c;
  const double n = double(x.n) * double(x.pixels());
  for (int c = 0; c < x.c; ++c) {
    const double p = double(pivot(0, c));
    squares[c] += p * (2 * sum[c] + n * p), sum[c] += n * p;
  }
  exec.batches->add(sum, int64_t(2) * x.c);
  for_each(exec, lanes_of(shape), finish(NoPivot<X>{x}));
}

template <class T>
void update_running(const Exec& exec, T momentum, View<const T, 1> batch, View<T, 1> running) {
  BASIN_CHECK(batch.dim[0] == running.dim[0], "batch ", batch, ", running ", running);
  for_each(exec, running.dim[0], UpdateRunning<T>{batch, running, momentum});
}
template void update_running<float>(const Exec&, float, View<const float, 1>, View<float, 1>);

template <class X>
void norm_relu(const Exec& exec, const NormInput<X>& in, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(in.x), "x ", in.x, ", out ", out);
  map_features(exec, shape, BranchNumbers<X>{in}, {in.x.data}, {out.data}, NormRelu());
}

template <class X>
void norm_add_relu(const Exec& exec, const NormInput<X>& a, const NormInput<X>& b, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(a.x) && shape.same(b.x), "a ", a.x, ", b ", b.x, ", out ", out);
  map_features(exec, shape, TwoBranchNumbers<X>{{a}, {b}}, {a.x.data, b.x.data}, {out.data}, NormAddRelu());
}

template <class X>
void norm_relu_backward(const Exec& exec, const NormInput<X>& in, FeatureView<const X> d_out,
                        const NormGradient<X>& to) {
  using T = Arithmetic<X>;
  const FeatureShape shape(d_out);
  BASIN_CHECK(shape.same(in.x) && shape.same(to.d_x), "x ", in.x, ", d_out ", d_out);
  const int lanes = lanes_of(shape);
  const BatchSums<2> sums(exec, d_out.c);
  const Temp<T> found(exec, int64_t(2) * lanes);  // mean_d, slope
  const BranchNumbers<X> numbers{in};
  sums.sum(shape, numbers, {in.x.data, d_out.data}, GradientSums(),
           sums.finish_gradient(in, 1, values_per_channel(exec, d_out), to, found.data(), found.data() + lanes));
  map_features(exec, shape, WithTable<BranchNumbers<X>, 2>{numbers, {found.data(), lanes}}, {in.x.data, d_out.data},
               {to.d_x.data}, InputGradient());
}

template <class X>
void norm_add_relu_backward(const Exec& exec, const NormInput<X>& a, const NormInput<X>& b, FeatureView<const X> d_out,
                            const NormGradient<X>& to_a, const NormGradient<X>& to_b) {
  using T = Arithmetic<X>;
  const FeatureShape shape(d_out);
  BASIN_CHECK(shape.same(a.x) && shape.same(b.x), "a ", a.x, ", b ", b.x, ", d_out ", d_out);
  BASIN_CHECK(shape.same(to_a.d_x) && shape.same(to_b.d_x), "d_a ", to_a.d_x, ", d_b ", to_b.d_x);
  const int lanes = lanes_of(shape);
  const double count = values_per_channel(exec, d_out);
  const BatchSums<3> sums(exec, d_out.c);
  const Temp<T> found(exec, int64_t(3) * lanes);
  T *const mean_d = found.data(), *const slope_a = mean_d + lanes, *const slope_b = slope_a + lanes;
  const TwoBranchNumbers<X> numbers{{a}, {b}};
  sums.sum(shape, numbers, {a.x.data, b.x.data, d_out.data}, TwoBranchGradientSums(),
           TwoBranchFinishGradient<X>{sums.finish_gradient(a, 1, count, to_a, mean_d, slope_a),
                                      sums.finish_gradient(b, 2, count, to_b, mean_d, slope_b)});
  map_features(exec, shape, WithTable<TwoBranchNumbers<X>, 3>{numbers, {mean_d, lanes}},
               {a.x.data, b.x.data, d_out.data}, {to_a.d_x.data, to_b.d_x.data}, TwoBranchInputGradient());
}

#define BASIN_INSTANTIATE(X)                                                                                           \
  template void norm_statistics<X>(const Exec&, FeatureView<const X>, Arithmetic<X>, Arithmetic<X>,                    \
                                   NormStats<Arithmetic<X>>, Arithmetic<X>*, Arithmetic<X>*);                          \
  template void norm_relu<X>(const Exec&, const NormInput<X>&, FeatureView<X>);                                        \
  template void norm_add_relu<X>(const Exec&, const NormInput<X>&, const NormInput<X>&, FeatureView<X>);               \
  template void norm_relu_backward<X>(const Exec&, const NormInput<X>&, FeatureView<const X>, const NormGradient<X>&); \
  template void norm_add_relu_backward<X>(const Exec&, const NormInput<X>&, const NormInput<X>&, FeatureView<const X>, \
                                          const NormGradient<X>&, const NormGradient<X>&);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

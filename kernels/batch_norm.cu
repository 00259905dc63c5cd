#include "kernels/batch_norm.h"

#include <cmath>

#include "kernels/features.h"

namespace basin::kernels {
namespace {

template <class X, class T = Arithmetic<X>>
struct FirstValue {
  FeatureView<const X> x;
  T* pivot;

  BASIN_HD void operator()(int64_t c) const { pivot[c] = c < x.c ? T(x(0, int(c), 0, 0)) : T(0); }
};

/// Sums of (x - pivot) and its square. The pivot, the channel's first value, keeps the two from cancelling.
template <class X, class T = Arithmetic<X>>
struct Moments {
  const X* x;

  BASIN_HD void operator()(Sums<T, 2>& sum, FeatureAt at, T pivot) const {
    const T d = x[at.offset] - pivot;
    sum = {{d, d * d}};
  }
};

template <class T>
struct FinishMoments {
  const T* pivot;
  const double *sum, *sum_of_squares;
  double count;
  T epsilon, momentum;
  NormStats<T> stats;
  T *running_mean, *running_var;

  BASIN_HD void operator()(int64_t c) const {
    const double d = sum[c] / count, mean = double(pivot[c]) + d;
    const double difference = sum_of_squares[c] / count - d * d, variance = difference > 0 ? difference : 0;
    stats.mean[c] = T(mean);
    stats.inverse_std[c] = T(1 / sqrt(variance + double(epsilon)));
    const double unbiased = count > 1 ? variance * count / (count - 1) : variance;
    running_mean[c] += momentum * (T(mean) - running_mean[c]);
    running_var[c] += momentum * (T(unbiased) - running_var[c]);
  }
};

/// The affine image of x that the ReLU takes: gamma (x - mean) inverse_std + beta, with scale = gamma inverse_std.
/// Forward and backward both ask this function, so that they agree on where it is above zero.
template <class T>
BASIN_HD T affine(T x, T mean, T scale, T beta) {
  return (x - mean) * scale + beta;
}
/// The same of two branches that are added up; beta is the sum of both.
template <class T>
BASIN_HD T affine(T a, T b, T mean_a, T scale_a, T mean_b, T scale_b, T beta) {
  return (a - mean_a) * scale_a + ((b - mean_b) * scale_b + beta);
}

template <class X, class T = Arithmetic<X>>
struct NormRelu {
  const X* x;
  X* out;

  BASIN_HD void operator()(FeatureAt at, T mean, T scale, T beta) const {
    const T z = affine(T(x[at.offset]), mean, scale, beta);
    out[at.offset] = z < 0 ? T(0) : z;
  }
};

template <class X, class T = Arithmetic<X>>
struct NormAddRelu {
  const X *a, *b;
  X* out;

  BASIN_HD void operator()(FeatureAt at, T mean_a, T scale_a, T mean_b, T scale_b, T beta) const {
    const T z = affine(T(a[at.offset]), T(b[at.offset]), mean_a, scale_a, mean_b, scale_b, beta);
    out[at.offset] = z < 0 ? T(0) : z;
  }
};

/// Sums of d_z and d_z (x - mean), where z is what the ReLU took.
template <class X, class T = Arithmetic<X>>
struct GradientSums {
  const X *x, *d_out;

  BASIN_HD void operator()(Sums<T, 2>& sum, FeatureAt at, T mean, T scale, T beta) const {
    const T v = x[at.offset], d = d_out[at.offset], d_z = affine(v, mean, scale, beta) > 0 ? d : T(0);
    sum = {{d_z, d_z * (v - mean)}};
  }
};

template <class X, class T = Arithmetic<X>>
struct GradientSums2 {
  const X *a, *b, *d_out;

  BASIN_HD void operator()(Sums<T, 3>& sum, FeatureAt at, T mean_a, T scale_a, T mean_b, T scale_b, T beta) const {
    const T va = a[at.offset], vb = b[at.offset], d = d_out[at.offset];
    const T d_z = affine(va, vb, mean_a, scale_a, mean_b, scale_b, beta) > 0 ? d : T(0);
    sum = {{d_z, d_z * (va - mean_a), d_z * (vb - mean_b)}};
  }
};

/// d_x = gamma inverse_std (d_z - mean(d_z) - normalised(x) mean(d_z normalised(x))), per channel, where
/// slope = inverse_std mean(d_z normalised(x)).
template <class X, class T = Arithmetic<X>>
struct InputGradient {
  const X *x, *d_out;
  X* d_x;

  BASIN_HD void operator()(FeatureAt at, T mean, T scale, T beta, T mean_d, T slope) const {
    const T v = x[at.offset], d = d_out[at.offset], d_z = affine(v, mean, scale, beta) > 0 ? d : T(0);
    d_x[at.offset] = scale * ((d_z - mean_d) - (v - mean) * slope);
  }
};

template <class X, class T = Arithmetic<X>>
struct InputGradient2 {
  const X *a, *b, *d_out;
  X *d_a, *d_b;

  BASIN_HD void operator()(FeatureAt at, T mean_a, T scale_a, T mean_b, T scale_b, T beta, T mean_d, T slope_a,
                           T slope_b) const {
    const T va = a[at.offset], vb = b[at.offset], d = d_out[at.offset];
    const T d_z = affine(va, vb, mean_a, scale_a, mean_b, scale_b, beta) > 0 ? d : T(0);
    d_a[at.offset] = scale_a * ((d_z - mean_d) - (va - mean_a) * slope_a);
    d_b[at.offset] = scale_b * ((d_z - mean_d) - (vb - mean_b) * slope_b);
  }
};

/// A branch's mean and scale of one channel, 0 in the padding lanes, so that those stay zero.
template <class X, class T = Arithmetic<X>>
BASIN_HD void fill_branch(const NormInput<X>& in, int64_t c, T& mean, T& scale) {
  const bool real = c < in.x.c;
  mean = real ? in.stats.mean[c] : T(0);
  scale = real ? in.gamma[c] * in.stats.inverse_std[c] : T(0);
}

/// Fills a ChannelTable's numbers of one channel.
template <class X, class T = Arithmetic<X>>
struct FillTable {
  NormInput<X> a;
  T* table;

  BASIN_HD void operator()(int64_t c) const {
    const int64_t lanes = int64_t(a.x.groups()) * a.x.block;
    fill_branch(a, c, table[c], table[lanes + c]);
    table[2 * lanes + c] = c < a.x.c ? a.beta[c] : T(0);
  }
};

template <class X, class T = Arithmetic<X>>
struct FillTable2 {
  NormInput<X> a, b;
  T* table;

  BASIN_HD void operator()(int64_t c) const {
    const int64_t lanes = int64_t(a.x.groups()) * a.x.block;
    fill_branch(a, c, table[c], table[lanes + c]);
    fill_branch(b, c, table[2 * lanes + c], table[3 * lanes + c]);
    table[4 * lanes + c] = c < a.x.c ? a.beta[c] + b.beta[c] : T(0);
  }
};

/// From a branch's sums of d_z and d_z (x - mean): d_gamma, d_beta, and the two numbers that InputGradient needs.
template <class X, class T = Arithmetic<X>>
struct FinishGradient {
  NormInput<X> a;
  const double *sum_d, *sum_dx;
  double count;
  T *d_gamma, *d_beta, *mean_d, *slope;

  BASIN_HD void operator()(int64_t c) const {
    if (c >= a.x.c) {
      mean_d[c] = slope[c] = T(0);
      return;
    }
    const double inverse_std = double(a.stats.inverse_std[c]);
    d_gamma[c] += T(sum_dx[c] * inverse_std);
    d_beta[c] += T(sum_d[c]);
    mean_d[c] = T(sum_d[c] / count);
    slope[c] = T(sum_dx[c] / count * inverse_std * inverse_std);
  }
};

template <class T>
double pixels_per_channel(FeatureView<T> x) {
  return double(x.n) * double(x.pixels());
}

/// A ChannelTable of K columns and the memory it lies in.
template <class T, int K>
struct TableMemory {
  int lanes;
  Temp<T> memory;

  TableMemory(const Exec& exec, const FeatureShape& shape) : lanes(lanes_of(shape)), memory(exec, int64_t(K) * lanes) {}
  T* column(int k) const { return memory.data() + int64_t(k) * lanes; }
  /// The first Used columns.
  template <int Used = K>
  ChannelTable<T, Used> table() const {
    return {memory.data(), lanes};
  }
};

}  // namespace

template <class X>
void norm_statistics(const Exec& exec, FeatureView<const X> x, Arithmetic<X> epsilon, Arithmetic<X> momentum,
                     NormStats<Arithmetic<X>> stats, Arithmetic<X>* running_mean, Arithmetic<X>* running_var) {
  BASIN_CHECK(x.n > 0 && x.pixels() > 0, "x ", x);
  const FeatureShape shape(x);
  const Temp<double> total(exec, int64_t(2) * x.c);
  const TableMemory<Arithmetic<X>, 1> pivot(exec, shape);
  for_each(exec, pivot.lanes, FirstValue<X>{x, pivot.column(0)});
  sum_channels<2>(exec, shape, pivot.table(), Moments<X>{x.data}, total.data());
  for_each(exec, x.c,
           FinishMoments<Arithmetic<X>>{pivot.column(0), total.data(), total.data() + x.c, pixels_per_channel(x),
                                        epsilon, momentum, stats, running_mean, running_var});
}

template <class X>
void norm_relu(const Exec& exec, const NormInput<X>& in, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(in.x), "x ", in.x, ", out ", out);
  const TableMemory<Arithmetic<X>, 3> numbers(exec, shape);
  for_each(exec, numbers.lanes, FillTable<X>{in, numbers.column(0)});
  for_each_feature(exec, shape, numbers.table(), NormRelu<X>{in.x.data, out.data});
}

template <class X>
void norm_add_relu(const Exec& exec, const NormInput<X>& a, const NormInput<X>& b, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(a.x) && shape.same(b.x), "a ", a.x, ", b ", b.x, ", out ", out);
  const TableMemory<Arithmetic<X>, 5> numbers(exec, shape);
  for_each(exec, numbers.lanes, FillTable2<X>{a, b, numbers.column(0)});
  for_each_feature(exec, shape, numbers.table(), NormAddRelu<X>{a.x.data, b.x.data, out.data});
}

template <class X>
void norm_relu_backward(const Exec& exec, const NormInput<X>& in, FeatureView<const X> d_out,
                        const NormGradient<X>& to) {
  const FeatureShape shape(d_out);
  BASIN_CHECK(shape.same(in.x) && shape.same(to.d_x), "x ", in.x, ", d_out ", d_out);
  const int c = d_out.c;
  const Temp<double> total(exec, int64_t(2) * c);
  const TableMemory<Arithmetic<X>, 5> numbers(exec, shape);
  for_each(exec, numbers.lanes, FillTable<X>{in, numbers.column(0)});
  sum_channels<2>(exec, shape, numbers.template table<3>(), GradientSums<X>{in.x.data, d_out.data}, total.data());
  for_each(exec, numbers.lanes,
           FinishGradient<X>{in, total.data(), total.data() + c, pixels_per_channel(d_out), to.d_gamma, to.d_beta,
                             numbers.column(3), numbers.column(4)});
  for_each_feature(exec, shape, numbers.table(), InputGradient<X>{in.x.data, d_out.data, to.d_x.data});
}

template <class X>
void norm_add_relu_backward(const Exec& exec, const NormInput<X>& a, const NormInput<X>& b, FeatureView<const X> d_out,
                            const NormGradient<X>& to_a, const NormGradient<X>& to_b) {
  const FeatureShape shape(d_out);
  BASIN_CHECK(shape.same(a.x) && shape.same(b.x), "a ", a.x, ", b ", b.x, ", d_out ", d_out);
  BASIN_CHECK(shape.same(to_a.d_x) && shape.same(to_b.d_x), "d_a ", to_a.d_x, ", d_b ", to_b.d_x);
  const int c = d_out.c;
  const Temp<double> total(exec, int64_t(3) * c);
  const TableMemory<Arithmetic<X>, 8> numbers(exec, shape);
  for_each(exec, numbers.lanes, FillTable2<X>{a, b, numbers.column(0)});
  sum_channels<3>(exec, shape, numbers.template table<5>(), GradientSums2<X>{a.x.data, b.x.data, d_out.data},
                  total.data());
  const double count = pixels_per_channel(d_out);
  const double *d = total.data(), *d_ax = d + c, *d_bx = d + 2 * c;
  Arithmetic<X>*mean_d = numbers.column(5), *slope_a = numbers.column(6), *slope_b = numbers.column(7);
  for_each(exec, numbers.lanes, FinishGradient<X>{a, d, d_ax, count, to_a.d_gamma, to_a.d_beta, mean_d, slope_a});
  for_each(exec, numbers.lanes, FinishGradient<X>{b, d, d_bx, count, to_b.d_gamma, to_b.d_beta, mean_d, slope_b});
  for_each_feature(exec, shape, numbers.table(),
                   InputGradient2<X>{a.x.data, b.x.data, d_out.data, to_a.d_x.data, to_b.d_x.data});
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

#include "kernels/batch_norm.h"

#include <cmath>

#include "kernels/features.h"

namespace basin::kernels {
namespace {

template <class T>
struct FirstValue {
  FeatureView<const T> x;
  T* pivot;

  BASIN_HD void operator()(int64_t c) const { pivot[c] = c < x.c ? x(0, int(c), 0, 0) : T(0); }
};

/// Sums of (x - pivot) and its square. The pivot, the channel's first value, keeps the two from cancelling.
template <class T>
struct Moments {
  const T *x, *pivot;

  BASIN_HD Sums<T, 2> operator()(FeatureAt at) const {
    const T d = x[at.offset] - pivot[at.channel];
    return {{d, d * d}};
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

/// normalised x = (x - mean) inverse_std; its affine image is gamma x + beta.
template <class T>
struct Branch {
  const T *x, *mean, *inverse_std, *gamma, *beta;

  explicit Branch(const NormInput<T>& in)
      : x(in.x.data), mean(in.stats.mean), inverse_std(in.stats.inverse_std), gamma(in.gamma), beta(in.beta) {}
  BASIN_HD T normalised(int64_t offset, int c) const { return (x[offset] - mean[c]) * inverse_std[c]; }
  BASIN_HD T affine(int64_t offset, int c) const { return gamma[c] * normalised(offset, c) + beta[c]; }
};

template <class T>
struct NormRelu {
  Branch<T> a;
  int channels;
  T* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T v = c < channels ? a.affine(offset, c) : T(0);
    out[offset] = v > 0 ? v : T(0);
  }
};

template <class T>
struct NormAddRelu {
  Branch<T> a, b;
  int channels;
  T* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T v = c < channels ? a.affine(offset, c) + b.affine(offset, c) : T(0);
    out[offset] = v > 0 ? v : T(0);
  }
};

/// Sums of d_z and d_z normalised(x), where z is what the ReLU took.
template <class T>
struct GradientSums {
  Branch<T> a;
  int channels;
  const T *out, *d_out;

  BASIN_HD Sums<T, 2> operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T d_z = out[offset] > 0 ? d_out[offset] : T(0);
    return {{d_z, c < channels ? d_z * a.normalised(offset, c) : T(0)}};
  }
};

template <class T>
struct GradientSums2 {
  Branch<T> a, b;
  int channels;
  const T *out, *d_out;

  BASIN_HD Sums<T, 3> operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T d_z = out[offset] > 0 ? d_out[offset] : T(0);
    const bool real = c < channels;
    return {{d_z, real ? d_z * a.normalised(offset, c) : T(0), real ? d_z * b.normalised(offset, c) : T(0)}};
  }
};

/// d_x = gamma inverse_std (d_z - mean(d_z) - normalised(x) mean(d_z normalised(x))), per channel.
template <class T>
struct Coefficients {
  T *scale, *mean_d, *mean_dx;

  BASIN_HD T d_x(const Branch<T>& a, int64_t offset, int c, T d_z) const {
    return scale[c] * (d_z - mean_d[c] - a.normalised(offset, c) * mean_dx[c]);
  }
};

template <class T>
struct FinishGradient {
  Branch<T> a;
  const double *sum_d, *sum_dx;
  double count;
  T *d_gamma, *d_beta;
  Coefficients<T> to;

  BASIN_HD void operator()(int64_t c) const {
    d_gamma[c] += T(sum_dx[c]);
    d_beta[c] += T(sum_d[c]);
    to.scale[c] = a.gamma[c] * a.inverse_std[c];
    to.mean_d[c] = T(sum_d[c] / count);
    to.mean_dx[c] = T(sum_dx[c] / count);
  }
};

template <class T>
struct InputGradient {
  Branch<T> a;
  Coefficients<T> k;
  int channels;
  const T *out, *d_out;
  T* d_x;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T d_z = out[offset] > 0 ? d_out[offset] : T(0);
    d_x[offset] = c < channels ? k.d_x(a, offset, c, d_z) : T(0);
  }
};

template <class T>
struct InputGradient2 {
  Branch<T> a, b;
  Coefficients<T> ka, kb;
  int channels;
  const T *out, *d_out;
  T *d_a, *d_b;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t offset = at.offset;
    const int c = at.channel;
    const T d_z = out[offset] > 0 ? d_out[offset] : T(0);
    const bool real = c < channels;
    const T to_a = real ? ka.d_x(a, offset, c, d_z) : T(0), to_b = real ? kb.d_x(b, offset, c, d_z) : T(0);
    d_a[offset] = to_a;
    d_b[offset] = to_b;
  }
};

template <class T>
double pixels_per_channel(FeatureView<T> x) {
  return double(x.n) * double(x.pixels());
}

template <class T>
Coefficients<T> coefficients(const Temp<T>& memory, int channels) {
  return {memory.data(), memory.data() + channels, memory.data() + 2 * channels};
}

}  // namespace

template <class T>
void norm_statistics(const Exec& exec, FeatureView<const T> x, T epsilon, T momentum, NormStats<T> stats,
                     T* running_mean, T* running_var) {
  BASIN_CHECK(x.n > 0 && x.pixels() > 0, "x ", x);
  const Temp<double> total(exec, int64_t(2) * x.c);
  const int64_t lanes = int64_t(x.groups()) * x.block;
  const Temp<T> pivot(exec, lanes);
  for_each(exec, lanes, FirstValue<T>{x, pivot.data()});
  sum_channels<2, T>(exec, FeatureShape(x), Moments<T>{x.data, pivot.data()}, total.data());
  for_each(exec, x.c,
           FinishMoments<T>{pivot.data(), total.data(), total.data() + x.c, pixels_per_channel(x), epsilon, momentum,
                            stats, running_mean, running_var});
}

template <class T>
void norm_relu(const Exec& exec, const NormInput<T>& in, FeatureView<T> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(in.x), "x ", in.x, ", out ", out);
  for_each_feature(exec, shape, NormRelu<T>{Branch<T>(in), out.c, out.data});
}

template <class T>
void norm_add_relu(const Exec& exec, const NormInput<T>& a, const NormInput<T>& b, FeatureView<T> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(a.x) && shape.same(b.x), "a ", a.x, ", b ", b.x, ", out ", out);
  for_each_feature(exec, shape, NormAddRelu<T>{Branch<T>(a), Branch<T>(b), out.c, out.data});
}

template <class T>
void norm_relu_backward(const Exec& exec, const NormInput<T>& in, FeatureView<const T> out, FeatureView<const T> d_out,
                        const NormGradient<T>& to) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(in.x) && shape.same(d_out) && shape.same(to.d_x), "x ", in.x, ", d_out ", d_out);
  const int c = out.c;
  const Branch<T> a(in);
  const Temp<double> total(exec, int64_t(2) * c);
  const Temp<T> memory(exec, int64_t(3) * c);
  const Coefficients<T> k = coefficients(memory, c);
  sum_channels<2, T>(exec, shape, GradientSums<T>{a, c, out.data, d_out.data}, total.data());
  for_each(exec, c,
           FinishGradient<T>{a, total.data(), total.data() + c, pixels_per_channel(out), to.d_gamma, to.d_beta, k});
  for_each_feature(exec, shape, InputGradient<T>{a, k, c, out.data, d_out.data, to.d_x.data});
}

template <class T>
void norm_add_relu_backward(const Exec& exec, const NormInput<T>& in_a, const NormInput<T>& in_b,
                            FeatureView<const T> out, FeatureView<const T> d_out, const NormGradient<T>& to_a,
                            const NormGradient<T>& to_b) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(in_a.x) && shape.same(in_b.x) && shape.same(d_out), "a ", in_a.x, ", d_out ", d_out);
  BASIN_CHECK(shape.same(to_a.d_x) && shape.same(to_b.d_x), "d_a ", to_a.d_x, ", d_b ", to_b.d_x);
  const int c = out.c;
  const Branch<T> a(in_a), b(in_b);
  const Temp<double> total(exec, int64_t(3) * c);
  const Temp<T> memory_a(exec, int64_t(3) * c), memory_b(exec, int64_t(3) * c);
  const Coefficients<T> ka = coefficients(memory_a, c), kb = coefficients(memory_b, c);
  sum_channels<3, T>(exec, shape, GradientSums2<T>{a, b, c, out.data, d_out.data}, total.data());
  const double count = pixels_per_channel(out);
  const double *d = total.data(), *d_ax = d + c, *d_bx = d + 2 * c;
  for_each(exec, c, FinishGradient<T>{a, d, d_ax, count, to_a.d_gamma, to_a.d_beta, ka});
  for_each(exec, c, FinishGradient<T>{b, d, d_bx, count, to_b.d_gamma, to_b.d_beta, kb});
  for_each_feature(exec, shape, InputGradient2<T>{a, b, ka, kb, c, out.data, d_out.data, to_a.d_x.data, to_b.d_x.data});
}

#define BASIN_INSTANTIATE(T)                                                                                           \
  template void norm_statistics<T>(const Exec&, FeatureView<const T>, T, T, NormStats<T>, T*, T*);                     \
  template void norm_relu<T>(const Exec&, const NormInput<T>&, FeatureView<T>);                                        \
  template void norm_add_relu<T>(const Exec&, const NormInput<T>&, const NormInput<T>&, FeatureView<T>);               \
  template void norm_relu_backward<T>(const Exec&, const NormInput<T>&, FeatureView<const T>, FeatureView<const T>,    \
                                      const NormGradient<T>&);                                                         \
  template void norm_add_relu_backward<T>(const Exec&, const NormInput<T>&, const NormInput<T>&, FeatureView<const T>, \
                                          FeatureView<const T>, const NormGradient<T>&, const NormGradient<T>&);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

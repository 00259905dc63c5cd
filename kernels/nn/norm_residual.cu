#include "kernels/nn/norm_residual.h"

#include <cmath>

#include "kernels/nn/batch_norm_numbers.h"

namespace basin::kernels {
namespace {

/// The parts of a tail that exist, and the numbers of the mask.
template <class X, bool Residual, bool Mask, bool Relu, class T = Arithmetic<X>>
struct Tail {
  FeatureShape shape;
  const T* mask;
  const X* out;  // only for the gradient

  BASIN_HD T masked(PixelAt at, T value) const {
    if constexpr (!Mask) return value;
    return value * mask[int64_t(at.n) * shape.groups() * shape.block + at.channel];
  }
  BASIN_HD T before_relu(PixelAt at, const X* d_out) const {
    const T d = d_out[at.offset];
    if constexpr (!Relu) return d;
    return T(out[at.offset]) > 0 ? d : T(0);
  }
};

template <class X, bool Residual, bool Mask, bool Relu, class T = Arithmetic<X>>
struct Forward {
  Tail<X, Residual, Mask, Relu> tail;
  const X *x, *residual;
  X* out;

  BASIN_HD void operator()(FeatureAt at, T mean, T scale, T beta) const {
    T z = tail.masked(at, affine(T(x[at.offset]), mean, scale, beta));
    if constexpr (Residual) z += T(residual[at.offset]);
    if constexpr (Relu) z = z < 0 ? T(0) : z;
    out[at.offset] = z;
  }
};

/// Sums of d_z and d_z (x - mean), where d_z is the gradient of norm(x).
template <class X, bool Residual, bool Mask, bool Relu, class T = Arithmetic<X>>
struct GradientSums {
  Tail<X, Residual, Mask, Relu> tail;
  const X *x, *d_out;

  BASIN_HD void operator()(Sums<T, 2>& sum, PixelAt at, T mean, T, T) const {
    const T d_z = tail.masked(at, tail.before_relu(at, d_out));
    sum = {{d_z, d_z * (T(x[at.offset]) - mean)}};
  }
};

template <class X, bool Residual, bool Mask, bool Relu, class T = Arithmetic<X>>
struct InputGradient {
  Tail<X, Residual, Mask, Relu> tail;
  const X *x, *d_out;
  X *d_x, *d_residual;

  BASIN_HD void operator()(FeatureAt at, T mean, T scale, T, T mean_d, T slope) const {
    const T d = tail.before_relu(at, d_out), d_z = tail.masked(at, d), v = x[at.offset];
    d_x[at.offset] = scale * ((d_z - mean_d) - (v - mean) * slope);
    if constexpr (Residual) d_residual[at.offset] = d;
  }
};

template <class T>
struct RunningStatistics {
  const T *mean, *var;
  T epsilon;
  NormStats<T> stats;

  BASIN_HD void operator()(int64_t c) const {
    stats.mean[c] = mean[c];
    stats.inverse_std[c] = T(1 / sqrt(double(var[c]) + double(epsilon)));
  }
};

/// Calls f with three compile-time flags: whether there is a residual, a mask, a ReLU.
template <class X, class F>
void with_parts(const NormTail<X>& tail, const F& f) {
  using std::bool_constant;
  constexpr bool_constant<true> yes;
  constexpr bool_constant<false> no;
  if (!tail.residual.data) return f(no, no, no);
  if (!tail.relu) return f(yes, no, no);
  tail.mask ? f(yes, yes, yes) : f(yes, no, yes);
}

template <class X>
void check(const NormInput<X>& in, const NormTail<X>& tail, const FeatureShape& shape) {
  BASIN_CHECK(shape.same(in.x) && (!tail.residual.data || shape.same(tail.residual)), "x ", in.x, ", residual ",
              tail.residual);
  BASIN_CHECK(tail.residual.data || !tail.relu, "a ReLU needs a residual");
  BASIN_CHECK(tail.relu || !tail.mask, "a mask needs a ReLU");
}

}  // namespace

template <class X>
void norm_residual(const Exec& exec, const NormInput<X>& in, const NormTail<X>& tail, FeatureView<X> out) {
  const FeatureShape shape(out);
  check(in, tail, shape);
  with_parts(tail, [&]<bool Residual, bool Mask, bool Relu>(std::bool_constant<Residual>, std::bool_constant<Mask>,
                                                            std::bool_constant<Relu>) {
    const Tail<X, Residual, Mask, Relu> parts{shape, tail.mask, nullptr};
    for_each_feature(exec, shape, BranchNumbers<X>{in},
                     Forward<X, Residual, Mask, Relu>{parts, in.x.data, tail.residual.data, out.data});
  });
}

template <class X>
void norm_residual_backward(const Exec& exec, const NormInput<X>& in, const NormTail<X>& tail, FeatureView<const X> out,
                            FeatureView<const X> d_out, const NormGradient<X>& to, FeatureView<X> d_residual) {
  using T = Arithmetic<X>;
  const FeatureShape shape(d_out);
  check(in, tail, shape);
  BASIN_CHECK(shape.same(to.d_x) && (!tail.relu || (out.data && shape.same(out))), "d_x ", to.d_x, ", out ", out);
  BASIN_CHECK(!tail.residual.data || shape.same(d_residual), "residual ", tail.residual, ", d_residual ", d_residual);
  const int lanes = lanes_of(shape);
  const BatchSums<2> sums(exec, d_out.c);
  const Temp<T> found(exec, int64_t(2) * lanes);  // mean_d, slope
  const BranchNumbers<X> numbers{in};
  with_parts(tail, [&]<bool Residual, bool Mask, bool Relu>(std::bool_constant<Residual>, std::bool_constant<Mask>,
                                                            std::bool_constant<Relu>) {
    const Tail<X, Residual, Mask, Relu> parts{shape, tail.mask, out.data};
    sums.sum(shape, numbers, GradientSums<X, Residual, Mask, Relu>{parts, in.x.data, d_out.data},
             sums.finish_gradient(in, 1, values_per_channel(exec, d_out), to, found.data(), found.data() + lanes));
    for_each_feature(
        exec, shape, WithTable<BranchNumbers<X>, 2>{numbers, {found.data(), lanes}},
        InputGradient<X, Residual, Mask, Relu>{parts, in.x.data, d_out.data, to.d_x.data, d_residual.data});
  });
}

template <class T>
void running_statistics(const Exec& exec, const T* running_mean, const T* running_var, int channels, T epsilon,
                        NormStats<T> stats) {
  for_each(exec, channels, RunningStatistics<T>{running_mean, running_var, epsilon, stats});
}

#define BASIN_INSTANTIATE(X)                                                                                          \
  template void norm_residual<X>(const Exec&, const NormInput<X>&, const NormTail<X>&, FeatureView<X>);               \
  template void norm_residual_backward<X>(const Exec&, const NormInput<X>&, const NormTail<X>&, FeatureView<const X>, \
                                          FeatureView<const X>, const NormGradient<X>&, FeatureView<X>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE
template void running_statistics<float>(const Exec&, const float*, const float*, int, float, NormStats<float>);
template void running_statistics<double>(const Exec&, const double*, const double*, int, double, NormStats<double>);

}  // namespace basin::kernels

#pragma once
#include "kernels/nn/batch_norm.h"
#include "kernels/runtime/feature_loops.h"

// The per-channel numbers of a batch normalisation and of its gradient, shared by the kernels that combine it with
// other operations.

namespace basin::kernels {

/// The affine map of x: gamma (x - mean) inverse_std + beta, with scale = gamma inverse_std. Forward and backward
/// passes both call this function, so that they agree on where it is above zero.
template <class T>
BASIN_HD T affine(T x, T mean, T scale, T beta) {
  return (x - mean) * scale + beta;
}

/// The sum of the affine maps of two branches; beta is the sum of both.
template <class T>
BASIN_HD T affine(T a, T b, T mean_a, T scale_a, T mean_b, T scale_b, T beta) {
  return (a - mean_a) * scale_a + ((b - mean_b) * scale_b + beta);
}

/// Mean, scale and beta of a branch; all 0 in the padding lanes, so that these stay zero.
template <class X>
struct BranchNumbers {
  using Value = Arithmetic<X>;
  static constexpr int count = 3;
  NormInput<X> in;

  BASIN_HD Value operator()(int k, int channel) const {
    if (channel >= in.x.c) return Value(0);
    return k == 0   ? in.stats.mean[channel]
           : k == 1 ? in.gamma[channel] * in.stats.inverse_std[channel]
                    : in.beta[channel];
  }
};

/// Numbers, followed by those of a table.
template <class Numbers, int K>
struct WithTable {
  using Value = typename Numbers::Value;
  static constexpr int count = Numbers::count + K;
  Numbers numbers;
  ChannelTable<Value, K> table;

  BASIN_HD Value operator()(int k, int channel) const {
    return k < Numbers::count ? numbers(k, channel) : table(k - Numbers::count, channel);
  }
};

/// From the sums of d_z and d_z (x - mean) of a branch: d_gamma, d_beta, and the numbers for the gradient of x, d_x =
/// scale ((d_z - mean_d) - (x - mean) slope).
template <class X, class T = Arithmetic<X>>
struct FinishGradient {
  NormInput<X> in;
  const double *sum_d, *sum_dx;
  double count;
  T *d_gamma, *d_beta, *mean_d, *slope;

  BASIN_HD void operator()(int64_t c) const {
    if (c >= in.x.c) {
      mean_d[c] = slope[c] = T(0);
      return;
    }
    const double inverse_std = double(in.stats.inverse_std[c]);
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

}  // namespace basin::kernels

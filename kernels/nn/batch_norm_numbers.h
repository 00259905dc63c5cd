#pragma once
#include <algorithm>

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
  const double *sum_d, *sum_dx;  // over the batch of this process
  const double *all_d, *all_dx;  // over those of all processes, of `count` values
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
    mean_d[c] = T(all_d[c] / count);
    slope[c] = T(all_dx[c] / count * inverse_std * inverse_std);
  }
};

/// Sums over channels [S, C]: those of this process, and those over the batches of all processes, which are the same
/// memory if there is one process.
template <int S>
class BatchSums {
 public:
  BatchSums(const Exec& exec, int channels)
      : exec_(exec), channels_(channels), own_(exec, S * channels), all_(exec, exec.batches ? S * channels : 0) {}
  /// For sum(): the first sum is that of d_z, and the s-th that of d_z (x - mean) of a branch.
  template <class X, class T = Arithmetic<X>>
  FinishGradient<X> finish_gradient(const NormInput<X>& in, int s, double count, const NormGradient<X>& to, T* mean_d,
                                    T* slope) const {
    const double *const own = own_.data(), *const all = exec_.batches ? all_.data() : own;
    const int64_t at = s * channels_;
    return {in, own, own + at, all, all + at, count, to.d_gamma, to.d_beta, mean_d, slope};
  }

  /// sum_channels(), and then the sums over the processes.
  template <class Numbers, class F, class Finish>
  void sum(const FeatureShape& shape, const Numbers& numbers, const F& f, const Finish& finish) const {
    if (!exec_.batches) return sum_channels<S>(exec_, shape, numbers, f, own_.data(), finish);
    sum_channels<S>(exec_, shape, numbers, f, own_.data());
    std::copy_n(own_.data(), S * channels_, all_.data());
    exec_.batches->add(all_.data(), S * channels_);
    for_each(exec_, lanes_of(shape), finish);
  }
  template <class X, int I, class Numbers, class F, class Finish>
  void sum(const FeatureShape& shape, const Numbers& numbers, const X* const (&in)[I], const F& f,
           const Finish& finish) const {
    detail::SumElement<X, I, F> element{{}, f};
    std::copy(in, in + I, element.in);
    sum(shape, numbers, element, finish);
  }

 private:
  const Exec& exec_;
  int64_t channels_;
  Temp<double> own_, all_;
};

/// The number of values of a channel, over the batches of all processes.
template <class T>
double values_per_channel(const Exec& exec, FeatureView<T> x) {
  return double(x.n) * double(x.pixels()) * (exec.batches ? exec.batches->count() : 1);
}

}  // namespace basin::kernels

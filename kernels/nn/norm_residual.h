#pragma once
#include "kernels/nn/batch_norm.h"

// A normalisation with given statistics, and the operations after it at the end of a residual block, in one pass: out =
// mask norm(x) + residual, then a ReLU if `relu`. norm() is that of kernels/nn/batch_norm.h.

namespace basin::kernels {

/// The operations after norm(x). Without data, the mask is 1 and the residual 0. A ReLU requires a residual, and a mask
/// requires a ReLU; other combinations occur in no network and are not supported.
template <class X>
struct NormTail {
  FeatureView<const X> residual;
  const Arithmetic<X>* mask = nullptr;  // [N, lanes]: one number per sample and channel, padding lanes included
  bool relu = false;
};

/// NaN stays NaN. Padding lanes become 0.
template <class X>
void norm_residual(const Exec&, const NormInput<X>&, const NormTail<X>&, FeatureView<X> out);

/// The backward pass of out = norm_residual(in, tail); `out` shows where the ReLU was active and may be without data if
/// there is none. d_residual is overwritten unless it is without data, and may be d_out; so may to.d_x if there is no
/// residual. Same bits at any thread count.
template <class X>
void norm_residual_backward(const Exec&, const NormInput<X>& in, const NormTail<X>&, FeatureView<const X> out,
                            FeatureView<const X> d_out, const NormGradient<X>& to, FeatureView<X> d_residual);

/// The statistics for evaluation, from the running ones: mean, and 1 / sqrt(var + epsilon); [C] each.
template <class T>
void running_statistics(const Exec&, const T* running_mean, const T* running_var, int channels, T epsilon,
                        NormStats<T> stats);

}  // namespace basin::kernels

#pragma once
#include "kernels/exec.h"
#include "kernels/view.h"

// Batch normalisation over [N, H, W] of each channel (Ioffe and Szegedy 2015; methods.md 0), in any layout.

namespace basin::kernels {

/// Per-channel numbers, [C] each, in device memory.
template <class T>
struct NormStats {
  T* mean = nullptr;
  T* inverse_std = nullptr;  // 1 / sqrt(biased variance + epsilon)
};

/// Statistics of x over the batch. running = (1 - momentum) running + momentum batch, with the unbiased variance.
/// Same bits at any thread count.
template <class T>
void norm_statistics(const Exec&, FeatureView<const T> x, T epsilon, T momentum, NormStats<T> stats, T* running_mean,
                     T* running_var);

/// One branch of a normalisation: its input, statistics and affine parameters.
template <class T>
struct NormInput {
  FeatureView<const T> x;
  NormStats<T> stats;
  const T* gamma = nullptr;
  const T* beta = nullptr;
};

/// out = relu(gamma (x - mean) inverse_std + beta), where NaN stays NaN. Padding lanes become 0.
template <class T>
void norm_relu(const Exec&, const NormInput<T>&, FeatureView<T> out);
/// out = relu(norm(a) + norm(b)): the end of a residual block in one pass.
template <class T>
void norm_add_relu(const Exec&, const NormInput<T>& a, const NormInput<T>& b, FeatureView<T> out);

/// Where the gradients of one branch go: d_x is overwritten and may be d_out; d_gamma and d_beta [C] are added to.
template <class T>
struct NormGradient {
  FeatureView<T> d_x;
  T* d_gamma = nullptr;
  T* d_beta = nullptr;
};

/// From d_out, where out = norm_relu(in). Where the ReLU was open is worked out anew from `in`, which is cheaper than
/// reading `out`. Same bits at any thread count.
template <class T>
void norm_relu_backward(const Exec&, const NormInput<T>& in, FeatureView<const T> d_out, const NormGradient<T>&);
/// From d_out, where out = norm_add_relu(a, b). d_a.d_x may be d_out.
template <class T>
void norm_add_relu_backward(const Exec&, const NormInput<T>& a, const NormInput<T>& b, FeatureView<const T> d_out,
                            const NormGradient<T>& d_a, const NormGradient<T>& d_b);

}  // namespace basin::kernels

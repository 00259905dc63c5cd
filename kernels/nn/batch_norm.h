#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Batch normalisation over [N, H, W] of each channel (Ioffe and Szegedy 2015), in any layout. The element type X of the
// maps is float, double, or bfloat16; with bfloat16 all else is float, rounded when stored.

namespace basin::kernels {

/// The batches of several processes, of the same size, which batch normalisations see as one if Exec::batches is set.
class JoinedBatches {
 public:
  virtual ~JoinedBatches() = default;
  virtual int count() const = 0;
  /// Replaces numbers by their sums over all processes, which call this in the same order.
  virtual void add(double* numbers, int64_t n) = 0;
};

/// Per-channel numbers, [C] each, in device memory.
template <class T>
struct NormStats {
  T* mean = nullptr;
  T* inverse_std = nullptr;  // 1 / sqrt(biased variance + epsilon)
};

/// The statistics of x over the batch. running += momentum (batch - running), with the unbiased variance; with a
/// momentum of 1 the running statistics become exactly those of the batch.
/// Same bits at any thread count.
template <class X>
void norm_statistics(const Exec&, FeatureView<const X> x, Arithmetic<X> epsilon, Arithmetic<X> momentum,
                     NormStats<Arithmetic<X>> stats, Arithmetic<X>* running_mean, Arithmetic<X>* running_var);

/// The same update of running statistics [n] by those of a batch, as norm_statistics() leaves them with a momentum
/// of 1.
template <class T>
void update_running(const Exec&, T momentum, View<const T, 1> batch, View<T, 1> running);

/// One branch of a normalisation: its input, statistics and affine parameters.
template <class X>
struct NormInput {
  FeatureView<const X> x;
  NormStats<Arithmetic<X>> stats;
  const Arithmetic<X>* gamma = nullptr;
  const Arithmetic<X>* beta = nullptr;
};

/// out = relu(gamma (x - mean) inverse_std + beta); NaN stays NaN. Padding lanes become 0.
template <class X>
void norm_relu(const Exec&, const NormInput<X>&, FeatureView<X> out);
/// out = relu(norm(a) + norm(b)): the end of a residual block in one pass.
template <class X>
void norm_add_relu(const Exec&, const NormInput<X>& a, const NormInput<X>& b, FeatureView<X> out);

/// The gradients of one branch: they overwrite d_x, which may be d_out, and are added to d_gamma and d_beta [C].
template <class X>
struct NormGradient {
  FeatureView<X> d_x;
  Arithmetic<X>* d_gamma = nullptr;
  Arithmetic<X>* d_beta = nullptr;
};

/// The backward pass of out = norm_relu(in). Whether the ReLU passed a value is recomputed from `in`, which is cheaper
/// than reading `out`. Same bits at any thread count.
template <class X>
void norm_relu_backward(const Exec&, const NormInput<X>& in, FeatureView<const X> d_out, const NormGradient<X>&);
/// The backward pass of out = norm_add_relu(a, b). d_a.d_x may be d_out.
template <class X>
void norm_add_relu_backward(const Exec&, const NormInput<X>& a, const NormInput<X>& b, FeatureView<const X> d_out,
                            const NormGradient<X>& d_a, const NormGradient<X>& d_b);

}  // namespace basin::kernels

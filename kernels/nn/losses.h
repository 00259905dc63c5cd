#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Losses over whole batches. A value is one number in device memory, of the type of the inputs; sums are in double, in
/// an order that depends only on the number of elements (kernels/runtime/reduce.h). d_value, one number in device
/// memory, is the gradient with respect to the value. A gradient overwrites its target, or is added to it if
/// `accumulate`.
namespace basin::kernels {

/// value = mean of (predicted - truth)^2, both [N, C, H, W].
template <class T>
void mse_loss(const Exec&, View<const T, 4> predicted, View<const T, 4> truth, T* value);
template <class T>
void mse_loss_backward(const Exec&, View<const T, 4> predicted, View<const T, 4> truth, const T* d_value,
                       View<T, 4> d_predicted, bool accumulate);

/// Weights of the false positives and of the false negatives.
struct TverskyWeights {
  double a = 0.5, b = 0.5;
};

/// Tversky loss (Salehi et al. 2017) from logits, over the whole batch jointly: with p = sigmoid(logit), y = mask and I
/// = sum p y, FP = sum p (1 - y), FN = sum (1 - p) y:
/// value = 1 - I / max(I + a FP + b FN, 1e-7), and 0 if the mask is empty. mask contains 0 and 1.
/// sums [3] in device memory receives I, sum p, sum y for the backward pass.
template <class T>
void tversky_loss(const Exec&, View<const T, 4> logit, View<const T, 4> mask, TverskyWeights, double* sums, T* value);
template <class T>
void tversky_loss_backward(const Exec&, View<const T, 4> logit, View<const T, 4> mask, TverskyWeights,
                           const double* sums, const T* d_value, View<T, 4> d_logit, bool accumulate);

/// value = mean of the binary cross-entropy of sigmoid(logit) against mask in [0, 1].
template <class T>
void bce_loss(const Exec&, View<const T, 4> logit, View<const T, 4> mask, T* value);
template <class T>
void bce_loss_backward(const Exec&, View<const T, 4> logit, View<const T, 4> mask, const T* d_value, View<T, 4> d_logit,
                       bool accumulate);

/// to = d_value * from, or to += if `accumulate`: for a loss whose gradient is already computed. May be in place.
template <class T>
void scale_gradient(const Exec&, View<const T, 4> from, const T* d_value, View<T, 4> to, bool accumulate);

/// total = sum of weight * value over the first `count` terms, each one number in device memory.
template <class T>
struct WeightedTerms {
  static constexpr int most = 8;
  const T* value[most];
  T* d_value[most];  // for the backward pass; null: not needed
  double weight[most];
  int count = 0;
};
template <class T>
void weighted_sum(const Exec&, const WeightedTerms<T>&, T* total);
/// Adds weight * d_total to each d_value; the same d_value may occur twice.
template <class T>
void weighted_sum_backward(const Exec&, const WeightedTerms<T>&, const T* d_total);

}  // namespace basin::kernels

#pragma once
#include "engine/tape.h"
#include "kernels/flow/ivp.h"

namespace basin {

// Losses over a whole batch of row-major [N, C, H, W] tensors, in float32 or float64. Each is one number, a Var of
// shape [1] in device memory, without a round trip to the host. The gradient flows to the first argument.

/// See kernels::ivp_loss. The forward pass also computes the gradient and keeps it for the backward pass.
Var ivp_loss(Tape&, Var predicted, const Tensor& truth, const kernels::IvpOptions&);
/// See kernels::mse_loss. Keeps both arguments.
Var mse_loss(Tape&, Var predicted, const Tensor& truth);
/// See kernels::tversky_loss; a weighs false positives, b false negatives. Keeps both arguments and three sums.
Var tversky_loss(Tape&, Var logit, const Tensor& mask, double a = 0.5, double b = 0.5);
/// See kernels::bce_loss. Keeps both arguments.
Var bce_loss(Tape&, Var logit, const Tensor& mask);

/// The sum of weight * value over at most eight terms of shape [1].
struct WeightedVar {
  Var value;
  double weight = 1;
};
Var weighted_sum(Tape&, const std::vector<WeightedVar>& terms);

}  // namespace basin

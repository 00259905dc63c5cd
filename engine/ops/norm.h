#pragma once
#include "engine/ops/maps.h"
#include "engine/params.h"
#include "engine/tape.h"

// Normalisations of feature maps in any layout. On a training tape batch normalisations use the statistics of the
// batch; on an evaluating tape they use the running statistics and have no gradient.

namespace basin {

/// How far a batch moves the running statistics, as in PyTorch.
constexpr double batch_norm_momentum = 0.1;

/// A batch normalisation's parameters. epsilon as in PyTorch.
struct NormParameters {
  Parameter gamma, beta;
  Tensor running_mean, running_var;
  double epsilon = 1e-5;
};
/// relu(batch norm(x)), which can be recomputed. Saves x and the statistics.
Var norm_relu(Tape&, const Var& x, const NormParameters&);
/// relu(batch norm(a) + batch norm(b)), which can be recomputed. Saves a, b and the statistics.
Var norm_add_relu(Tape&, const Var& a, const NormParameters&, const Var& b, const NormParameters&);
/// batch norm(x). Saves x and the statistics.
Var norm(Tape&, const Var& x, const NormParameters&);
/// relu(batch norm(x) + residual). Saves x, the statistics and the value.
Var norm_residual_relu(Tape&, const Var& x, const NormParameters&, const Var& residual);
/// relu(channel dropout(batch norm(x)) + residual): the end of a block of ERFNet. On an evaluating tape nothing is
/// dropped.
Var norm_residual_relu(Tape&, const Var& x, const NormParameters&, const Var& residual, const DropoutOptions&,
                       const StepState*);
/// batch norm(x) + residual, without a ReLU.
Var norm_residual(Tape&, const Var& x, const NormParameters&, const Var& residual);

/// relu((x - mean) / sqrt(var + epsilon)) with the statistics of each sample and channel, on any tape. No parameters.
/// Saves x and the statistics.
Var instance_norm_relu(Tape&, const Var& x, double epsilon = 1e-5);
/// The same without a ReLU.
Var instance_norm(Tape&, const Var& x, double epsilon = 1e-5);

}  // namespace basin

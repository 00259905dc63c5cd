#pragma once
#include "engine/tape.h"
#include "kernels/embedding/instance_loss.h"

namespace basin {

/// What the loss of spatial embeddings compares with, of N crops with up to K objects each.
struct InstanceTargets {
  Tensor labels;  // i32 [N, H, W], compact
  Tensor area;    // i32 [N, K]
  Tensor box;     // i32 [N, K, 4]
  Tensor count;   // i32 [N]
  Tensor centre;  // f64 [N, K, 2]

  kernels::ObjectTable table() const;
};

/// See kernels::object_table and kernels::object_centres; capacity is K. Keeps the labels.
InstanceTargets instance_targets(const Exec&, const Tensor& labels, int capacity, kernels::CentreKind);

struct InstanceLoss {
  Var total;     // [1]
  Tensor terms;  // [4]: the same number, then the instance, variance and seed terms without their weights
};
/// See kernels::instance_loss, of raw [N, 5, H, W], row-major. Forward computes the gradient along with the value and
/// keeps it for backward.
InstanceLoss instance_loss(Tape&, Var raw, const InstanceTargets&, const kernels::InstanceLossOptions& = {});

}  // namespace basin

#pragma once
#include "engine/tape.h"
#include "kernels/embedding/instance_loss.h"

namespace basin {

/// The targets of the spatial embedding loss, for N crops with up to K objects each.
struct InstanceTargets {
  Tensor labels;  // i32 [N, L, H, W], compact
  Tensor area;    // i32 [N, K]
  Tensor box;     // i32 [N, K, 4]
  Tensor layer;   // i32 [N, K]
  Tensor count;   // i32 [N]
  Tensor centre;  // f64 [N, K, 2]

  kernels::ObjectTable table() const;
};

/// See kernels::object_table and kernels::object_centres; capacity is K. Keeps the labels.
InstanceTargets instance_targets(const Exec&, const Tensor& labels, int capacity, kernels::CentreKind);

struct InstanceLoss {
  Var total;     // [1]
  Tensor terms;  // [4]: the total again, then the unweighted instance, variance and seed terms
};
/// See kernels::instance_loss; raw is [N, 5, H, W], row-major. The forward pass also computes the gradient and keeps it
/// for the backward pass.
InstanceLoss instance_loss(Tape&, Var raw, const InstanceTargets&, const kernels::InstanceLossOptions& = {});

}  // namespace basin

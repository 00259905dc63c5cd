#pragma once
#include <string>

#include "engine/ops/norm.h"
#include "engine/params.h"

namespace basin {

/// A batch normalisation of a network: handles to its parameters and running statistics in a Params.
struct BatchNormLayer {
  int gamma, beta, mean, var;

  /// Adds them under PyTorch's names, with initial values: NAME.weight (1), .bias (0), .running_mean (0) and
  /// .running_var (1).
  static BatchNormLayer add(Params&, const std::string& name, int channels);
  /// The tensors, with PyTorch's epsilon unless another is given.
  NormParameters in(const Params&, double epsilon = NormParameters{}.epsilon) const;
};

}  // namespace basin

#pragma once
#include "engine/tape.h"

// Losses that leave pixels out: see kernels/nn/ignored.h. In float32 or float64, in device memory.

namespace basin {

/// x [N, C, H, W] where `counted` [N, 1, H, W] is not 0, otherwise `fill`, without a gradient there.
Var keep_counted(Tape&, const Var& x, const Tensor& counted, double fill);

/// pixels / counted pixels [1]; 0 if none counts.
Tensor counted_factor(Tape&, const Tensor& counted);

/// value * factor, both [1]. The gradient flows to the value.
Var times(Tape&, const Var& value, const Tensor& factor);

}  // namespace basin

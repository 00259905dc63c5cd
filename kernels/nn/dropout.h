#pragma once
#include "kernels/nn/training_step.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Element-wise dropout: out = x / (1 - p) if kept, otherwise 0. The mask is a function of (seed, step, layer, index of
/// the element in nchw order), so it is the same in any layout, on any machine; the backward pass is the same call on
/// d_out.
template <class T>
void dropout(const Exec&, FeatureView<const T> x, double p, uint64_t seed, uint32_t layer, const StepState* state,
             FeatureView<T> out);

}  // namespace basin::kernels

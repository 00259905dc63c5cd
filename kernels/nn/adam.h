#pragma once
#include "kernels/nn/training_step.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;      // L2: added to the gradient
  bool epsilon_inside = false;  // false: m^ / (sqrt(v^) + epsilon) as in PyTorch; true: as in TensorFlow 1
};

/// One Adam step (Kingma and Ba 2015) for all parameters at once; m and v are its moments. Does nothing once
/// state->first_bad is set. Element-wise, so the same bits everywhere on the CPU.
template <class T>
void adam(const Exec&, const AdamOptions&, const StepState* state, View<const T, 1> gradient, View<T, 1> value,
          View<T, 1> m, View<T, 1> v);

}  // namespace basin::kernels

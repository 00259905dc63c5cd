#pragma once
#include "kernels/exec.h"
#include "kernels/step_state.h"
#include "kernels/view.h"

namespace basin::kernels {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double weight_decay = 0;      // L2: added to the gradient
  bool epsilon_inside = false;  // false: m^ / (sqrt(v^) + epsilon), PyTorch; true: TensorFlow 1 (methods.md 0)
};

/// One Adam step (Kingma and Ba 2015) on all parameters at once; m and v are its moments. Changes nothing once
/// state->first_bad is set. Element-wise, so the same bits everywhere on the CPU.
template <class T>
void adam(const Exec&, const AdamOptions&, const StepState* state, View<const T, 1> gradient, View<T, 1> value,
          View<T, 1> m, View<T, 1> v);

/// state->step = step, state->rate = rate; first_bad stays.
void begin_step(const Exec&, int64_t step, float rate, StepState* state);

/// sums[k] += *values[k] for k < count <= 8.
void add_losses(const Exec&, const float* const* values, int count, double* sums);

/// Sets state->first_bad = state->step if it is unset and any of the `n` values is NaN or infinite.
template <class T>
void note_bad(const Exec&, const T* values, int64_t n, StepState* state);

}  // namespace basin::kernels

#pragma once
#include "kernels/exec.h"
#include "kernels/step_state.h"

// What a training step keeps in device memory between its launches, so that nothing is read back in its middle.

namespace basin::kernels {

/// state->step = step, state->rate = rate; first_bad stays.
void begin_step(const Exec&, int64_t step, float rate, StepState* state);

/// sums[k] += *values[k] for k < count <= 8.
void add_losses(const Exec&, const float* const* values, int count, double* sums);

/// Sets state->first_bad = state->step if it is unset and any of the `n` values is NaN or infinite.
template <class T>
void note_bad(const Exec&, const T* values, int64_t n, StepState* state);

}  // namespace basin::kernels

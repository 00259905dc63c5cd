#pragma once
#include <cstdint>

#include "kernels/runtime/exec.h"

// What a training step keeps in device memory between its launches, so that nothing is read back in its middle.

namespace basin {

/// What changes from step to step. It lies in device memory and is read by Adam and dropout, so that a recorded
/// sequence of launches stays valid for the next step.
struct StepState {
  int64_t step = 0;  // optimizer steps done before this one
  float rate = 0;    // the learning rate of this step
  int64_t first_bad =
      -1;  // the first step whose loss or gradient was NaN or infinite; from then on Adam changes nothing
};

}  // namespace basin

namespace basin::kernels {

/// state->step = step, state->rate = rate; first_bad stays.
void begin_step(const Exec&, int64_t step, float rate, StepState* state);

/// sums[k] += *values[k] for k < count <= 8.
void add_losses(const Exec&, const float* const* values, int count, double* sums);

/// Sets state->first_bad = state->step if it is unset and any of the `n` values is NaN or infinite.
template <class T>
void note_bad(const Exec&, const T* values, int64_t n, StepState* state);

}  // namespace basin::kernels

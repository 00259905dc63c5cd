#pragma once
#include <cstdint>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// What a training step keeps in device memory between its launches, so that nothing is read back in its middle.

namespace basin {

/// What changes from step to step. It lies in device memory and is read by Adam and dropout, so that a recorded
/// sequence of launches stays valid for the next step.
struct StepState {
  int64_t step = 0;     // optimizer steps done before this one
  float rate = 0;       // the learning rate of this step
  float scheduled = 0;  // a number of the loss that changes with the progress of the training
  /// The first step at which a loss, a gradient or a running statistic was NaN or infinite, or -1; from then on Adam
  /// changes nothing.
  int64_t first_bad = -1;
};

}  // namespace basin

namespace basin::kernels {

/// state->step = step, state->rate = rate, state->scheduled = scheduled; first_bad stays.
void begin_step(const Exec&, int64_t step, float rate, float scheduled, StepState* state);

/// sums[k] += *values[k] for k < count <= 8.
void add_losses(const Exec&, const float* const* values, int count, double* sums);

/// Sets state->first_bad = state->step if it is unset and any of the `n` values is NaN or infinite.
template <class T>
void note_bad(const Exec&, const T* values, int64_t n, StepState* state);

/// Scales a gradient [n] down to this Euclidean norm where it is longer (Pascanu et al. 2013). The sum of squares runs
/// in double in a fixed order. A gradient with a NaN or an infinity stays as it is.
void clip_to_norm(const Exec&, double norm, View<float, 1> gradient);

/// average += (1 - decay) (value - average), element by element: the exponential moving average of a training's
/// weights.
void moving_average(const Exec&, double decay, View<const float, 1> value, View<float, 1> average);

}  // namespace basin::kernels

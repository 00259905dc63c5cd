#pragma once
#include <cstdint>
#include <limits>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// The state of a training step in device memory, so that the step needs no round trip to the host.

namespace basin {

/// The numbers that change from step to step. Adam and dropout read them from device memory, so that a captured graph
/// stays valid for the next step.
struct StepState {
  int64_t step = 0;     // number of optimizer steps before this one
  int64_t batch = 0;    // number of batches before this one, of all steps and ranks: it selects the random numbers
  float rate = 0;       // the learning rate of this step
  float scheduled = 0;  // a parameter of the loss that depends on the progress of the training
  /// The first step at which a loss, a gradient, a running statistic or a moment was NaN or infinite, or -1; from then
  /// on Adam changes nothing.
  int64_t first_bad = -1;
};

}  // namespace basin

namespace basin::kernels {

/// Copies everything but first_bad from `next` to the state.
void begin_step(const Exec&, const StepState& next, StepState* state);

/// sums[k] += *values[k] for k < count <= 8.
void add_losses(const Exec&, const float* const* values, int count, double* sums);

/// Sets state->first_bad = state->step if it is unset and any of the `n` values is NaN or has a magnitude above
/// `limit`, or without a limit is infinite.
template <class T>
void note_bad(const Exec&, const T* values, int64_t n, StepState* state, T limit = std::numeric_limits<T>::max());

/// Scales a gradient [n] down to this Euclidean norm if it is larger (Pascanu et al. 2013). The sum of squares is in
/// double in a fixed order. A gradient with NaN or infinity does not change.
void clip_to_norm(const Exec&, double norm, View<float, 1> gradient);

/// average += (1 - decay) (value - average), element by element: the exponential moving average of the weights during
/// training.
void moving_average(const Exec&, double decay, View<const float, 1> value, View<float, 1> average);

}  // namespace basin::kernels

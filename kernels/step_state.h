#pragma once
#include <cstdint>

namespace basin {

/// What changes from step to step. It lies in device memory and is read by Adam and dropout, so that a recorded
/// sequence of launches stays valid for the next step.
struct StepState {
  int64_t step = 0;        // optimizer steps done before this one
  float rate = 0;          // the learning rate of this step
  int64_t first_bad = -1;  // the first step whose loss or gradient was NaN or infinite; from then on Adam changes nothing
};

}  // namespace basin

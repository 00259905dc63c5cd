#include "kernels/nn/training_step.h"

#include <cmath>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/reduce.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

template <class T>
struct FindBad {
  static constexpr int64_t size = 4096;
  const T* values;
  int64_t n;
  T limit;
  uint8_t* found;

  BASIN_HD void operator()(int64_t chunk) const {
    const int64_t begin = chunk * size, end = begin + size < n ? begin + size : n;
    int bad = 0;
#pragma omp simd reduction(| : bad)
    for (int64_t i = begin; i < end; ++i)
      bad |= int(!(values[i] <= limit && values[i] >= -limit));
    found[chunk] = uint8_t(bad);
  }
};

/// On a GPU, all threads that find one write the same number.
template <class T>
struct NoteBadValue {
  const T* values;
  T limit;
  StepState* state;

  BASIN_HD void operator()(int64_t i) const {
    if (!(values[i] <= limit && values[i] >= -limit) && state->first_bad < 0) state->first_bad = state->step;
  }
};

struct NoteBad {
  const uint8_t* found;
  int64_t chunks;
  StepState* state;

  BASIN_HD void operator()(int64_t) const {
    bool bad = false;
    for (int64_t k = 0; k < chunks; ++k)
      bad = bad || found[k];
    if (bad && state->first_bad < 0) state->first_bad = state->step;
  }
};

struct BeginStep {
  StepState next;
  StepState* state;

  BASIN_HD void operator()(int64_t) const {
    const int64_t first_bad = state->first_bad;
    *state = next;
    state->first_bad = first_bad;
  }
};

constexpr int max_losses = 8;

struct AddLosses {
  const float* values[max_losses];
  double* sums;

  BASIN_HD void operator()(int64_t k) const { sums[k] += double(*values[k]); }
};

struct Square {
  const float* value;

  BASIN_HD void operator()(int64_t i, double (&t)[1]) const { t[0] = double(value[i]) * double(value[i]); }
};

struct ScaleToNorm {
  const double* square;
  double norm;
  float* value;

  BASIN_HD void operator()(int64_t i) const {
    if (*square > norm * norm && *square < HUGE_VAL) value[i] = float(double(value[i]) * (norm / sqrt(*square)));
  }
};

struct MovingAverage {
  const float* value;
  float share;  // weight of the new value
  float* average;

  BASIN_HD void operator()(int64_t i) const { average[i] += share * (value[i] - average[i]); }
};

}  // namespace

void begin_step(const Exec& exec, const StepState& next, StepState* state) {
  for_each(exec, 1, BeginStep{next, state});
}

void add_losses(const Exec& exec, const float* const* values, int count, double* sums) {
  BASIN_CHECK(count <= max_losses, count, " losses");
  AddLosses add{{}, sums};
  for (int k = 0; k < count; ++k)
    add.values[k] = values[k];
  for_each(exec, count, add);
}

template <class T>
void note_bad(const Exec& exec, const T* values, int64_t n, StepState* state, T limit) {
  if (exec.device != Device::cpu) return for_each(exec, n, NoteBadValue<T>{values, limit, state});
  const int64_t chunks = (n + FindBad<T>::size - 1) / FindBad<T>::size;
  const Temp<uint8_t> found(exec, chunks);
  for_each(exec, chunks, FindBad<T>{values, n, limit, found.data()}, 8);
  for_each(exec, 1, NoteBad{found.data(), chunks, state});
}

void clip_to_norm(const Exec& exec, double norm, View<float, 1> gradient) {
  BASIN_CHECK(norm > 0, "norm ", norm);
  const Temp<double> square(exec, 1);
  sum<1>(exec, gradient.dim[0], Square{gradient.data}, square.data());
  for_each(exec, gradient.dim[0], ScaleToNorm{square.data(), norm, gradient.data});
}

void moving_average(const Exec& exec, double decay, View<const float, 1> value, View<float, 1> average) {
  BASIN_CHECK(value.dim[0] == average.dim[0] && decay >= 0 && decay < 1, "shapes ", value, " and ", average, ", decay ",
              decay);
  for_each(exec, value.dim[0], MovingAverage{value.data, float(1 - decay), average.data});
}

template void note_bad<float>(const Exec&, const float*, int64_t, StepState*, float);
template void note_bad<double>(const Exec&, const double*, int64_t, StepState*, double);

}  // namespace basin::kernels

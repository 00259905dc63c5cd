#include "kernels/adam.h"

#include <cmath>

#include "kernels/parallel.h"

namespace basin::kernels {
namespace {

/// The step sizes that depend on the step alone.
struct Correction {
  double rate, root2;  // lr / (1 - beta1^t), sqrt(1 - beta2^t)

  BASIN_HD Correction(const AdamOptions& o, const StepState& s) {
    const double t = double(s.step + 1);
    rate = double(s.rate) / (1 - pow(o.beta1, t));
    root2 = sqrt(1 - pow(o.beta2, t));
  }
};

template <class T>
struct AdamChunk {
  static constexpr int64_t size = 4096;
  AdamOptions options;
  const StepState* state;
  View<const T, 1> gradient;
  View<T, 1> value, m, v;

  BASIN_HD void operator()(int64_t chunk) const {
    if (state->first_bad >= 0) return;
    const Correction k(options, *state);
    const T b1 = T(options.beta1), b2 = T(options.beta2), decay = T(options.weight_decay);
    const T rate = T(k.rate), rate_inside = T(k.rate * k.root2), root2 = T(k.root2), epsilon = T(options.epsilon);
    const bool inside = options.epsilon_inside;
    const int64_t begin = chunk * size, end = begin + size < value.dim[0] ? begin + size : value.dim[0];
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const T g = gradient.data[i] + decay * value.data[i];
      const T mi = b1 * m.data[i] + (1 - b1) * g, vi = b2 * v.data[i] + (1 - b2) * g * g;
      m.data[i] = mi, v.data[i] = vi;
      const T root = T(sqrt(vi));
      value.data[i] -= inside ? rate_inside * mi / (root + epsilon) : rate * mi / (root / root2 + epsilon);
    }
  }
};

}  // namespace

template <class T>
void adam(const Exec& exec, const AdamOptions& options, const StepState* state, View<const T, 1> gradient,
          View<T, 1> value, View<T, 1> m, View<T, 1> v) {
  const int64_t n = value.dim[0];
  BASIN_CHECK(gradient.dim[0] == n && m.dim[0] == n && v.dim[0] == n, "gradient ", gradient, ", value ", value);
  for_each(exec, (n + AdamChunk<T>::size - 1) / AdamChunk<T>::size, AdamChunk<T>{options, state, gradient, value, m, v},
           1);
}

#define BASIN_INSTANTIATE(T)                                                                                         \
  template void adam<T>(const Exec&, const AdamOptions&, const StepState*, View<const T, 1>, View<T, 1>, View<T, 1>, \
                        View<T, 1>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

#include "kernels/nn/adam.h"

#include <cmath>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// Parameters shared by all elements of a step.
template <class T>
struct Factors {
  T b1, b2, decay, rate, rate_inside, root2, epsilon;  // rate: lr / (1 - beta1^t); root2: sqrt(1 - beta2^t)
  bool inside;

  /// power(beta, t) is beta^t.
  template <class Power>
  BASIN_HD Factors(const AdamOptions& o, const StepState& s, const Power& power)
      : b1(T(o.beta1)), b2(T(o.beta2)), decay(T(o.weight_decay)), epsilon(T(o.epsilon)), inside(o.epsilon_inside) {
    const double corrected = double(s.rate) / (1 - power(o.beta1, s.step + 1));
    const double root = sqrt(1 - power(o.beta2, s.step + 1));
    rate = T(corrected), rate_inside = T(corrected * root), root2 = T(root);
  }
};

struct LibraryPower {
  BASIN_HD double operator()(double beta, int64_t t) const { return pow(beta, double(t)); }
};
/// Computes the power by squaring, because a GPU computes powers in double by a slow function; the relative error is
/// less than t units of 2^-53.
struct SquaringPower {
  BASIN_HD double operator()(double beta, int64_t t) const {
    double power = 1;
    for (; t > 0; t >>= 1, beta *= beta)
      if (t & 1) power *= beta;
    return power;
  }
};

template <class T>
struct Elements {
  View<const T, 1> gradient;
  View<T, 1> value, m, v;

  BASIN_HD void step(int64_t i, const Factors<T>& k) const {
    const T g = gradient.data[i] + k.decay * value.data[i];
    const T mi = k.b1 * m.data[i] + (1 - k.b1) * g, vi = k.b2 * v.data[i] + (1 - k.b2) * g * g;
    m.data[i] = mi, v.data[i] = vi;
    const T root = T(sqrt(vi));
    value.data[i] -= k.inside ? k.rate_inside * mi / (root + k.epsilon) : k.rate * mi / (root / k.root2 + k.epsilon);
  }
};

/// On the CPU: each thread processes many elements and computes the factors itself.
template <class T>
struct AdamChunk {
  static constexpr int64_t size = 4096;
  AdamOptions options;
  const StepState* state;
  Elements<T> elements;

  BASIN_HD void operator()(int64_t chunk) const {
    if (state->first_bad >= 0) return;
    const Factors<T> k(options, *state, LibraryPower());
    const int64_t n = elements.value.dim[0], begin = chunk * size, end = begin + size < n ? begin + size : n;
    const Elements<T> all = elements;
#pragma omp simd
    for (int64_t i = begin; i < end; ++i)
      all.step(i, k);
  }
};

/// On a GPU: the factors are computed once, because arithmetic in double is slow there, then each thread processes one
/// element.
template <class T>
struct FindFactors {
  AdamOptions options;
  const StepState* state;
  Factors<T>* factors;

  BASIN_HD void operator()(int64_t) const { *factors = Factors<T>(options, *state, SquaringPower()); }
};
template <class T>
struct AdamElement {
  const StepState* state;
  const Factors<T>* factors;
  Elements<T> elements;

  BASIN_HD void operator()(int64_t i) const {
    if (state->first_bad < 0) elements.step(i, *factors);
  }
};

}  // namespace

template <class T>
void adam(const Exec& exec, const AdamOptions& options, const StepState* state, View<const T, 1> gradient,
          View<T, 1> value, View<T, 1> m, View<T, 1> v) {
  const int64_t n = value.dim[0];
  BASIN_CHECK(gradient.dim[0] == n && m.dim[0] == n && v.dim[0] == n, "gradient ", gradient, ", value ", value);
  const Elements<T> elements{gradient, value, m, v};
  if (exec.device == Device::cpu)
    return for_each(exec, (n + AdamChunk<T>::size - 1) / AdamChunk<T>::size, AdamChunk<T>{options, state, elements}, 1);
  const Temp<Factors<T>> factors(exec, 1);
  for_each(exec, 1, FindFactors<T>{options, state, factors.data()});
  for_each(exec, n, AdamElement<T>{state, factors.data(), elements});
}

#define BASIN_INSTANTIATE(T)                                                                                         \
  template void adam<T>(const Exec&, const AdamOptions&, const StepState*, View<const T, 1>, View<T, 1>, View<T, 1>, \
                        View<T, 1>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

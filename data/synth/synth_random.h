#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/runtime/philox.h"

// Random numbers with distributions other than uniform. Used by data/synth*.cpp and their tests.
namespace basin::synth {

constexpr double two_pi = 6.283185307179586;

/// A standard normal number by Box-Muller; draws two uniform ones.
inline double gaussian(Random& random) {
  const double radius = std::sqrt(-2 * std::log(1 - double(random.uniform())));
  return radius * std::cos(two_pi * double(random.uniform()));
}

/// A log-normal factor with median 1; its natural logarithm has this standard deviation and is cut at twice that.
inline double log_normal(Random& random, double spread) {
  return std::exp(spread * std::clamp(gaussian(random), -2.0, 2.0));
}

/// Log-uniform between lo and hi; lo, hi > 0.
inline double log_uniform(Random& random, double lo, double hi) {
  return lo * std::pow(hi / lo, double(random.uniform()));
}

/// True with this probability.
inline bool chance(Random& random, double probability) { return random.uniform() < float(probability); }

/// A random direction, radians.
inline float turn(Random& random) { return random.uniform(0, float(two_pi)); }

}  // namespace basin::synth

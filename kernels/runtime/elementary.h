#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "kernels/runtime/platform.h"

/// Scalar functions, computed in the precision of their argument, on any device.
namespace basin::kernels {

/// An unsigned number with the same order as the float, which is not NaN, and the float of such a number.
BASIN_HD inline uint32_t order_key(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}
BASIN_HD inline float value_of_key(uint32_t key) {
  const uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

BASIN_HD inline float exp_of(float x) { return expf(x); }
BASIN_HD inline double exp_of(double x) { return exp(x); }
BASIN_HD inline float sqrt_of(float x) { return sqrtf(x); }
BASIN_HD inline double sqrt_of(double x) { return sqrt(x); }
BASIN_HD inline float tanh_of(float x) { return tanhf(x); }
BASIN_HD inline double tanh_of(double x) { return ::tanh(x); }  // not that of a Tape

/// The cross-entropy of p = sigmoid(z) against the target y in [0, 1]. Accurate for large |z| too.
BASIN_HD inline double cross_entropy(double z, double y) {
  return (z > 0 ? z : 0.0) - z * y + log1p(exp(z > 0 ? -z : z));
}

/// p = 1 / (1 + exp(-z)) and q = 1 - p. Both are accurate for large |z| too.
template <class T>
struct Sigmoid {
  T p, q;

  BASIN_HD explicit Sigmoid(T z) {
    const T e = exp_of(z > 0 ? -z : z), big = 1 / (1 + e), small = e * big;
    p = z > 0 ? big : small;
    q = z > 0 ? small : big;
  }
  /// dp/dz
  BASIN_HD T slope() const { return p * q; }
};

}  // namespace basin::kernels

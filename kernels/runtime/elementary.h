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

/// 2^k for -1022 <= k <= 1023.
BASIN_HD inline double power_of_two(int k) {
  const uint64_t bits = uint64_t(k + 1023) << 52;
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/// exp(x), tanh(x) and 1 / (1 + exp(-x)), of sums, products and quotients alone: they have the same bits on every
/// processor and device and with every C library, which expf() and tanhf() do not. Decoding uses them, because a
/// threshold can turn the last bit of a map into another label. Relative errors are below 1e-15.
BASIN_HD inline double reproducible_exp(double x) {
  if (x != x) return x;
  const double inside = x < -746 ? -746 : x > 710 ? 710 : x;
  const int k = int(floor(inside * 1.4426950408889634 + 0.5));
  // r = x - k log(2), at most log(2) / 2; the first part of log(2) has so few bits that its product is exact
  const double r = (inside - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  double sum = 1.0 / 6227020800;  // the series of exp(r)
  sum = sum * r + 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  return sum * power_of_two(k / 2) * power_of_two(k - k / 2);  // 2^k alone may be beyond the range of doubles
}
BASIN_HD inline double reproducible_tanh(double x) {
  const double size = x < 0 ? -x : x;
  if (size < 0.0625) {  // the series, without the cancellation of 1 - exp(-2 x)
    const double s = x * x;
    return x * (1 + s * (-1.0 / 3 + s * (2.0 / 15 + s * (-17.0 / 315 + s * (62.0 / 2835 - s * (1382.0 / 155925))))));
  }
  const double e = reproducible_exp(-2 * size), t = (1 - e) / (1 + e);
  return x < 0 ? -t : t;
}
BASIN_HD inline double reproducible_sigmoid(double x) {
  const double e = reproducible_exp(x > 0 ? -x : x), big = 1 / (1 + e);
  return x > 0 ? big : e * big;
}

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

/// Divides a vector v by its length: u = v * inverse, where inverse = 1 / max(|v|, shortest).
template <class T>
struct UnitVector {
  T inverse;
  bool is_short;

  /// `square`: |v|^2.
  BASIN_HD UnitVector(T square, T shortest) {
    const T length = sqrt_of(square);
    is_short = length < shortest;
    inverse = 1 / (is_short ? shortest : length);
  }
};

/// The gradient of a component of v, from that of the same component of u = v * inverse. `along`: (v d_u) / |v|^2, or 0
/// if v is shorter than the shortest length.
template <class T>
BASIN_HD T unit_vector_backward(T v, T d_u, T along, T inverse) {
  return (d_u - v * along) * inverse;
}

/// The row of a label in a table of the objects of a sample. Tables have a fixed capacity, so that a training step that
/// uses them can be captured as a graph: row 0 is the background, rows 1 to `capacity` are the objects with these
/// labels; in all there are `slots` = capacity + 1 rows. Objects beyond the capacity count as background.
BASIN_HD inline int slot_of(int32_t label, int slots) { return label < slots ? label : 0; }

}  // namespace basin::kernels

#pragma once
#include <cmath>

#include "kernels/platform.h"

namespace basin::kernels {

/// p = 1 / (1 + exp(-z)) and q = 1 - p, each accurate however large |z| is.
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

 private:
  static BASIN_HD float exp_of(float x) { return expf(x); }
  static BASIN_HD double exp_of(double x) { return exp(x); }
};

}  // namespace basin::kernels

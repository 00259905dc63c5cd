#pragma once
#include "kernels/runtime/elementary.h"

namespace basin::kernels {

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

}  // namespace basin::kernels

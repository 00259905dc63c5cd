#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

struct Bounds {
  double x_min, x_max, y_min, y_max;
};

/// The bounding box of points [N, 2], N > 0. Throws if a coordinate is NaN or infinite.
template <class T>
Bounds bounds_of(const Exec&, View<const T, 2> points);

}  // namespace basin::kernels

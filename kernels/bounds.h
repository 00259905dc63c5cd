#pragma once
#include "kernels/exec.h"
#include "kernels/view.h"

namespace basin::kernels {

struct Bounds {
  double x_min, x_max, y_min, y_max;
};

/// Some of N points, for work on a GPU that the host does not wait for: instead of asking where points are it says
/// where they are expected.
struct MaskedPoints {
  const uint8_t* mask;  // [N]: those with 0 are left out
  Bounds box;           // of the others
  int32_t* strays;      // [1]: becomes 1 if one of them lies elsewhere or nowhere; results are of no use then
};

/// The bounding box of points [N, 2], N > 0. Throws where a coordinate is NaN or infinite.
template <class T>
Bounds bounds_of(const Exec&, View<const T, 2> points);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// largest = the largest of 0 and the values of a map [H, W]: one number in device memory. NaN is ignored.
void largest_value(const Exec&, View<const float, 2> values, float* largest);

struct PeakOptions {
  int radius = 10;        // of the square window, in pixels
  double threshold = .7;  // as a fraction of the largest value of the map, at least 0
  int border = 0;         // width of the border of the image without peaks
};

/// peaks [H, W]: 1 where a value is the largest in the window around it, as far as that lies in the image, and is above
/// the threshold and thus above 0; otherwise 0. All pixels of a plateau are peaks. values [H, W].
void local_maxima(const Exec&, View<const float, 2> values, PeakOptions, View<uint8_t, 2> peaks);

}  // namespace basin::kernels

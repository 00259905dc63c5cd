#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// largest = the largest of 0 and the values of a map [H, W]: one number in device memory. NaN is left out.
void largest_value(const Exec&, View<const float, 2> values, float* largest);

struct PeakOptions {
  int radius = 10;        // of the square window, in pixels
  double threshold = .7;  // as a share of the largest value of the map, at least 0
  int border = 0;         // pixels along the border of the image that hold no peak
};

/// peaks [H, W]: 1 where a value is the largest in the part of the window around it that lies in the image, and is
/// above the threshold and thus above 0; else 0. All pixels of a plateau are peaks. values [H, W].
void local_maxima(const Exec&, View<const float, 2> values, PeakOptions, View<uint8_t, 2> peaks);

}  // namespace basin::kernels

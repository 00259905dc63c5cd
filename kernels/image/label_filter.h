#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// size [count + 1] = the number of pixels with each label, for labels in 0 to count. The same on any device at any
/// thread count.
void label_sizes(const Exec&, View<const int32_t, 2> labels, View<int32_t, 1> size);

/// Removes the labels whose keep is 0 and renumbers the others to 1, 2, ... in their order. keep [count + 1]; that of
/// label 0 is ignored. Returns the new number of labels.
int64_t keep_labels(const Exec&, View<const int32_t, 1> keep, View<int32_t, 2> labels);

/// keep_labels() for those with at least min_size pixels.
int64_t drop_small_labels(const Exec&, int min_size, int64_t count, View<int32_t, 2> labels);

/// Labels with fewer pixels or a smaller mean value are weak.
struct WeakLabels {
  int min_size = 10;      // pixels
  double min_mean = 0.1;  // mean of the values in a label, as a fraction of the largest value of the map
};

/// keep_labels() for those that are not weak. values [H, W]; negative ones count as 0. They are rounded to multiples of
/// 2^-20 of the largest value, so that sums do not depend on their order: the same on any device at any thread count.
int64_t drop_weak_labels(const Exec&, WeakLabels, View<const float, 2> values, int64_t count, View<int32_t, 2> labels);

}  // namespace basin::kernels

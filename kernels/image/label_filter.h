#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// size [count + 1] = how many pixels of labels, in 0 to count, have each label. The same on any device at any thread
/// count.
void label_sizes(const Exec&, View<const int32_t, 2> labels, View<int32_t, 1> size);

/// Makes background of the labels whose keep is 0 and closes the gaps: the others get 1, 2, ... in their old order.
/// keep [count + 1]; that of label 0 does not matter. Returns how many labels there are now.
int64_t keep_labels(const Exec&, View<const int32_t, 1> keep, View<int32_t, 2> labels);

/// keep_labels() for those that have at least min_size pixels.
int64_t drop_small_labels(const Exec&, int min_size, int64_t count, View<int32_t, 2> labels);

/// Which labels are too weak.
struct WeakLabels {
  int min_size = 10;      // pixels
  double min_mean = 0.1;  // of the values in a label, as a share of the largest value of the map
};

/// keep_labels() for those that are not weak. values [H, W], which count as 0 below that. They are rounded to multiples
/// of a 2^20th of the largest, so that sums do not depend on their order: the same on any device at any thread count.
int64_t drop_weak_labels(const Exec&, WeakLabels, View<const float, 2> values, int64_t count, View<int32_t, 2> labels);

}  // namespace basin::kernels

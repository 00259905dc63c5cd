#pragma once
#include <algorithm>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The rows of an image in strips, each processed by one thread at a time. Works for any height that fits into an int.
struct Strips {
  static constexpr int rows = 64;
  int height;

  int count() const { return int((int64_t(height) + rows - 1) / rows); }
  int begin(int64_t strip) const { return int(strip * rows); }
  int end(int64_t strip) const { return int(std::min<int64_t>(height, (strip + 1) * rows)); }
};

/// components() on the CPU: by runs of foreground pixels instead of pixels, a strip of rows at a time.
int64_t components_by_runs(const Exec&, View<const uint8_t, 2> mask, bool diagonals, View<int32_t, 2> labels);
/// components_of_labels() in the same way.
int64_t components_of_labels_by_runs(const Exec&, View<const int32_t, 2> image, bool diagonals,
                                     View<int32_t, 2> labels);

}  // namespace basin::kernels

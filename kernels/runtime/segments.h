#pragma once
#include <cstdint>

#include "kernels/runtime/platform.h"

namespace basin::kernels {

/// The `count` segments of a list: segment s is [offset[s * stride], offset[(s + 1) * stride]), and the last one ends
/// at offset[count * stride]. In device memory; the host does not read it.
struct Segments {
  const int32_t* offset = nullptr;
  int count = 0, stride = 1;

  BASIN_HD int32_t begin(int s) const { return offset[int64_t(s) * stride]; }
  BASIN_HD int32_t end(int s) const { return begin(s + 1); }
  /// The segment of element i: the last one that begins at or before it. Of several that begin there, all but the last
  /// are empty.
  BASIN_HD int of(int32_t i) const {
    int low = 0, high = count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (begin(middle) <= i ? low : high) = middle;
    }
    return low;
  }
};

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/platform.h"

namespace basin::kernels {

/// The source of pixel i on an axis of n pixels that is continued by its mirror image, with the outermost pixel
/// repeated.
BASIN_HD inline int mirrored(int i, int n) {
  i = i < 0 ? -1 - i : i;
  i %= 2 * n;
  return i < n ? i : 2 * n - 1 - i;
}

}  // namespace basin::kernels

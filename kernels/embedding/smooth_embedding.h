#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr int max_disc_radius = 16;  // pixels

/// The source of pixel i on an axis of n pixels that is continued by its mirror image, with the outermost pixel
/// repeated.
BASIN_HD inline int mirrored(int i, int n) {
  i = i < 0 ? -1 - i : i;
  i %= 2 * n;
  return i < n ? i : 2 * n - 1 - i;
}

/// The sum of the vectors of an embedding [C, H, W] over a disc of `radius` pixels, dx^2 + dy^2 <= radius^2, mirrored
/// at the border of the image with the outermost pixel repeated; then divided by its length, except that zero vectors
/// stay zero. unit [H, W, C]: the numbers of a pixel are contiguous. 0 <= radius <= max_disc_radius.
void smooth_embedding(const Exec&, View<const float, 3> embedding, int radius, View<float, 3> unit);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// What cutting an image [C, H, W] into tiles, and putting maps of tiles together again, needs.

namespace basin::kernels {

/// What lies outside the image along an axis: 0; the image mirrored at its edge, which is not repeated, and at most as
/// wide as the image less one; or the edge repeated.
enum class Outside { zero, mirror, edge };

/// tile[c, y, x] = image[c, top + y, left + x].
void cut_tile(const Exec&, View<const float, 3> image, int top, int left, Outside rows, Outside columns,
              View<float, 3> tile);

/// Which pixels of the image, [y_begin, y_end) x [x_begin, x_end), a tile at (top, left) gives, and with what weight.
struct TileShare {
  int top, left, y_begin, y_end, x_begin, x_end;
  float weight;
};
/// sum[c, y, x] += weight tile[c, y - top, x - left] for the pixels of the share, which lie in both.
void add_tile(const Exec&, View<const float, 3> tile, const TileShare&, View<float, 3> sum);

/// map[c, y, x] *= by_row[y] by_column[x], both in device memory.
void scale_map(const Exec&, const float* by_row, const float* by_column, View<float, 3> map);

/// Bilinear, align_corners = false, edge replicated; channels 0 and 1 times the factors: those by
/// which the sides of vectors (x, y) change, or 1.
void resize_map(const Exec&, View<const float, 3> from, float factor_x, float factor_y, View<float, 3> to);

}  // namespace basin::kernels

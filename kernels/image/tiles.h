#pragma once
#include "kernels/image/resized_part.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Cutting an image [C, H, W] into tiles, and merging the maps of tiles.

namespace basin::kernels {

/// What is outside the image along an axis: 0; the image mirrored at its edge, which is not repeated, for less than the
/// size of the image; or the edge repeated.
enum class Outside { zero, mirror, edge };

/// tile[c, y, x] = image[c, top + y, left + x].
void cut_tile(const Exec&, View<const float, 3> image, int top, int left, Outside rows, Outside columns,
              View<float, 3> tile);

/// The pixels of the image, [y_begin, y_end) x [x_begin, x_end), to which a tile at (top, left) contributes, and their
/// weight.
struct TileShare {
  int top, left, y_begin, y_end, x_begin, x_end;
  float weight;
};
/// sum[c, y, x] += weight tile[c, y - top, x - left] for the pixels of the share, which lie in both.
void add_tile(const Exec&, View<const float, 3> tile, const TileShare&, View<float, 3> sum);

/// map[c, y, x] *= by_row[y] by_column[x], both in device memory.
void scale_map(const Exec&, const float* by_row, const float* by_column, View<float, 3> map);

/// Bilinear resize, align_corners = false, edge replicated. Channels 0 and 1 are multiplied by the factors: those by
/// which the sides change for vectors (x, y), otherwise 1.
void resize_map(const Exec&, View<const float, 3> from, float factor_x, float factor_y, View<float, 3> to,
                const ResizedPart& = {});

/// The pixels along an axis of `size` pixels on which pixels `range` depend, when resize_map() resizes it.
PixelRange map_sources(const PixelRange& range, int size, int resized);

}  // namespace basin::kernels

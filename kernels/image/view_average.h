#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr int square_symmetries = 8;

/// One of the eight symmetries of the square, for images of any size: `index` % 4 quarter turns counter-clockwise, then
/// for an index of 4 or more a flip of the rows (top becomes bottom).
struct SquareSymmetry {
  int index = 0;

  BASIN_HD bool swaps_sides() const { return index % 2 != 0; }
  /// The symmetry that undoes this one: every flip undoes itself.
  BASIN_HD SquareSymmetry inverse() const { return {index < 4 ? (4 - index) % 4 : index}; }
  /// Moves pixel (y, x) of an image [height, width] to its new position.
  BASIN_HD void move(int height, int width, int& y, int& x) const {
    for (int turn = 0; turn < index % 4; ++turn) {
      const int from_y = y, side = height;
      y = width - 1 - x, x = from_y;
      height = width, width = side;
    }
    if (index >= 4) y = height - 1 - y;
  }
  /// The vector in the original image that becomes (x, y) by the symmetry.
  template <class T>
  BASIN_HD void undo_vector(T& x, T& y) const {
    if (index >= 4) y = -y;
    for (int turn = 0; turn < index % 4; ++turn) {
      const T from_x = x;
      x = -y, y = from_x;
    }
  }
};

/// to = the image [C, H, W] after the symmetry, [C, H, W] or [C, W, H].
void apply_symmetry(const Exec&, SquareSymmetry, View<const float, 3> image, View<float, 3> to);

/// Undoes the symmetry for maps [C, H', W'] of the transformed image, and adds them times weight to `sum` [C, H, W], or
/// overwrites it if `first`. Channels are scalars: only their pixels move.
void add_undone_scalars(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);
/// The same for channels that are x, y pairs of vectors, which are rotated with the image.
void add_undone_vectors(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);
/// The same for channels that are pairs of lengths along x and y, which are swapped if the sides are.
void add_undone_extents(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);

}  // namespace basin::kernels

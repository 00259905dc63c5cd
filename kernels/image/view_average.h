#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr int square_symmetries = 8;

/// One of the eight symmetries of the square, of images of any sides: `index` % 4 quarter turns against the clock, then
/// for an index of 4 and more a flip of the rows (top becomes bottom).
struct SquareSymmetry {
  int index = 0;

  BASIN_HD bool swaps_sides() const { return index % 2 != 0; }
  /// Where pixel (y, x) of an image [height, width] goes.
  BASIN_HD void move(int height, int width, int& y, int& x) const {
    for (int turn = 0; turn < index % 4; ++turn) {
      const int from_y = y, side = height;
      y = width - 1 - x, x = from_y;
      height = width, width = side;
    }
    if (index >= 4) y = height - 1 - y;
  }
  /// The vector (x, y) of the image of which (x, y) is the vector after the symmetry.
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

/// Takes the symmetry back on maps [C, H', W'] of an image after it, and adds weight times them to `sum` [C, H, W], or
/// overwrites it if `first`. Of scalars the pixels alone move.
void add_undone_scalars(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);
/// The same where channels are pairs x, y of vectors, which turn with the image.
void add_undone_vectors(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);
/// The same where channels are pairs of lengths along x and y, which change places where the sides do.
void add_undone_extents(const Exec&, SquareSymmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum);

}  // namespace basin::kernels

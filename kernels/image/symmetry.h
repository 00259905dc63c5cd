#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The source of the pixels of a square under one of its symmetries: (y, x) comes from element first + y * down + x *
/// right.
struct SquareMap {
  int64_t first = 0, down = 0, right = 1;
};

/// Moves the pixels of squares [N, size, size]; from and to must be different memory.
template <class T>
void move_pixels(const Exec&, const SquareMap&, View<const T, 3> from, View<T, 3> to);

/// mask = 1 where a label is not 0, otherwise 0, for the middle of `labels`, which is wider by the same margin on each
/// side.
void mask_of_middle(const Exec&, View<const int32_t, 2> labels, View<float, 2> mask);

}  // namespace basin::kernels

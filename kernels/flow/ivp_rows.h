#pragma once
#include "kernels/flow/bilinear.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {

template <class T>
struct IvpProblem {
  const Vec2<T>*predicted, *truth;  // [n, h, w]
  int n, h, w;
  T step;
  int steps;
  T scale;  // of the gradient: 2 / (number of squares in the mean)
};

/// How many rows from its own a pixel's trajectory through the predicted field can touch, rounding included; at most h.
template <class T>
int ivp_reach(const Exec&, const IvpProblem<T>&);

/// The IVP loss on the CPU: rows of pixels at a time, value and gradient in one pass. squares [n * h] receives the sum
/// of the squared distances of each row's points. d_predicted [n, 2, h, w] is overwritten; with no data it is skipped.
///
/// The gradient by the field is collected in cells: cell (x0, y0) holds what goes to the four pixels around positions
/// between x0, y0 and x0 + 1, y0 + 1, so that one pixel's step adds to eight neighbouring numbers. Rows are cut into
/// bands at least twice as high as ivp_reach(), even bands run before odd ones, and bands of one phase never
/// touch the same cell: no sum depends on the number of threads. A field so wild that points cross the whole image, or
/// one with NaN, makes one band of each image.
template <class T>
void ivp_rows(const Exec&, const IvpProblem<T>&, double* squares, View<T, 4> d_predicted);

}  // namespace basin::kernels

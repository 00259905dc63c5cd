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
/// of the squared distances of each row's points. d_predicted [n, 2, h, w] is overwritten; without data it is not
/// computed.
///
/// The gradient with respect to the field is collected in cells: cell (x0, y0) collects the contributions to the four
/// pixels around positions between x0, y0 and x0 + 1, y0 + 1, so that a step of one pixel adds to eight contiguous
/// numbers. Rows are cut into bands at least twice as high as ivp_reach(), even bands run before odd ones, and bands of
/// one phase never touch the same cell: no sum depends on the number of threads. If points may cross the whole image,
/// or the field contains NaN, each image is one band.
template <class T>
void ivp_rows(const Exec&, const IvpProblem<T>&, double* squares, View<T, 4> d_predicted);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/platform.h"

// Bilinear resizing along one axis with pixel centres at half integers ("align_corners = False"): output coordinate d
// is at (d + 0.5) in / out - 0.5 of the input, but at least 0, and the edge of the input is repeated.

namespace basin::kernels {

/// The two neighbours of an output coordinate: the second has this weight, the first the remaining one.
template <class T>
struct Neighbours {
  int first, second;
  T weight;

  BASIN_HD Neighbours(int d, int in, int out) {
    T s = (T(d) + T(0.5)) * (T(in) / T(out)) - T(0.5);
    s = s > 0 ? s : T(0);
    first = int(s) < in - 1 ? int(s) : in - 1;
    second = first + 1 < in ? first + 1 : first;
    weight = s - T(first);
  }
  /// The weight of input coordinate i; 0 if it is not a neighbour.
  BASIN_HD T of(int i) const { return (first == i ? 1 - weight : T(0)) + (second == i ? weight : T(0)); }
};

/// The value between four neighbours, of which the first are above.
template <class T>
BASIN_HD T interpolate(const Neighbours<T>& y, const Neighbours<T>& x, T above_first, T above_second, T below_first,
                       T below_second) {
  const T above = (1 - x.weight) * above_first + x.weight * above_second;
  const T below = (1 - x.weight) * below_first + x.weight * below_second;
  return (1 - y.weight) * above + y.weight * below;
}

/// A range that contains all output coordinates with i as a neighbour: those within (i - 1, i + 1), one more on either
/// side for rounding, and at the edges those that are clamped to them.
struct OutputRange {
  int begin, end;

  BASIN_HD OutputRange(int i, int in, int out) {
    const double ratio = double(out) / double(in);
    const int lo = int((i - 0.5) * ratio) - 2, hi = int((i + 1.5) * ratio) + 2;
    begin = i == 0 || lo < 0 ? 0 : lo;
    end = i == in - 1 || hi > out ? out : hi;
  }
};

}  // namespace basin::kernels

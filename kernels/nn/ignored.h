#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Losses that leave pixels out. Their labels are -1. `counted` [N, 1, H, W] is 0 at these pixels and 1 at all others.
namespace basin::kernels {

/// cleared = the labels, with 0 for -1; of the same size.
void clear_ignored(const Exec&, View<const int32_t, 2> labels, View<int32_t, 2> cleared);

/// counted = 0 where a label is -1, otherwise 1, for the middle of `labels`, which is wider by the same margin on each
/// side.
void counted_of_middle(const Exec&, View<const int32_t, 2> labels, View<float, 2> counted);

/// out [N, C, H, W] = x where pixels count, otherwise `fill`. `out` may be x.
template <class T>
void keep_counted(const Exec&, View<const T, 4> x, View<const T, 4> counted, T fill, View<T, 4> out);
/// d_x = d_out where pixels count, otherwise 0, or d_x += if `accumulate`.
template <class T>
void keep_counted_backward(const Exec&, View<const T, 4> counted, View<const T, 4> d_out, View<T, 4> d_x,
                           bool accumulate);

/// factor = pixels / counted pixels, one number in device memory; 0 if none counts. It turns a mean over all pixels, in
/// which the others contribute 0, into one over the counted pixels.
template <class T>
void counted_factor(const Exec&, View<const T, 4> counted, T* factor);

/// out = value * factor, or out += if `accumulate`: each one number in device memory.
template <class T>
void times(const Exec&, const T* value, const T* factor, T* out, bool accumulate);

}  // namespace basin::kernels

#pragma once
#include "kernels/exec.h"
#include "kernels/view.h"

namespace basin::kernels {

/// Gives every noise point (label < 0) the most frequent label among its 5 nearest points that are not noise: of fewer,
/// where fewer exist; of equally frequent ones the smallest. Distances are compared as d^2 in double on the coordinates
/// as given; of equally distant points the one with the smaller index is the nearer. If all points are noise they stay
/// so. Throws if a coordinate is NaN or infinite. The result is the same on any device at any thread count.
template <class T>
void snap_noise(const Exec&, View<const T, 2> points /*[N, 2]*/, View<int32_t, 1> labels /*[N], in and out*/);

}  // namespace basin::kernels

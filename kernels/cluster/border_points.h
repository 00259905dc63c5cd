#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The last step of DBSCAN, after the core points have been found and numbered: each point with a negative label gets
/// the smallest label that is not negative among the points within eps, or keeps its own if there is none. dbscan()
/// without border_points, followed by this, gives the labels of dbscan(). Distances are compared as there, and the
/// result is the same on any device at any thread count. Throws if a coordinate is NaN or infinite.
template <class T>
void join_border_points(const Exec&, View<const T, 2> points /*[N, 2]*/, double eps,
                        View<int32_t, 1> labels /*[N], in and out*/);

}  // namespace basin::kernels

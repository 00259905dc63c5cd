#pragma once
#include "kernels/cluster/mask_points.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr int max_points = 1 << 29;  // that are clustered at once

struct DbscanOptions {
  double eps = 2.25;  // points this far apart, or nearer, are neighbours
  int min_samples = 15;
};

/// DBSCAN (Ester et al., KDD 1996) with the labels of scikit-learn's `DBSCAN(algorithm='kd_tree')`, in O(N) time and
/// memory for points of bounded density, wherever they lie.
/// A point is core if min_samples points, itself included, have d^2 <= eps^2, computed in double on the coordinates as
/// given. Clusters are the connected components of the core points, numbered from 0 in the order of their smallest core
/// index. Another point takes the smallest number among the core points within eps, or -1: noise.
/// labels [N] are the same on any device at any thread count. Returns the number of clusters.
/// Throws if a coordinate is NaN or infinite, if there are more than max_points, if eps is not in [1e-150, 1e150], or
/// if min_samples < 1.
template <class T>
int64_t dbscan(const Exec&, View<const T, 2> points /*[N, 2]*/, const DbscanOptions&, View<int32_t, 1> labels /*[N]*/);

/// The same of some of the points, the labels of the others being -1, without a round trip to the host: `clusters` [1],
/// their number, lies where exec computes. PointGrid<T>::fits(box, eps, N) must hold.
template <class T>
void dbscan(const Exec&, View<const T, 2> points, const MaskedPoints&, const DbscanOptions&, View<int32_t, 1> labels,
            int32_t* clusters);

}  // namespace basin::kernels

#pragma once
#include "kernels/cluster/mask_points.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr int max_points = 1 << 29;  // largest number of points that can be clustered at once

struct DbscanOptions {
  double eps = 2.25;  // radius: points at most this far apart are neighbours
  int min_samples = 15;
  bool border_points = true;  // false: points that are not core are noise (DBSCAN*, Campello et al., PAKDD 2013)
};

/// DBSCAN (Ester et al., KDD 1996) with the same labels as scikit-learn's `DBSCAN(algorithm='kd_tree')`, in O(N) time
/// and memory for points of bounded density, however far apart. A point is a core point if at least min_samples points,
/// itself included, have d^2 <= eps^2, computed in double on the given coordinates. Clusters are the connected
/// components of the core points, numbered from 0 in the order of their smallest core index. Any other point gets the
/// smallest cluster number among the core points within eps, or -1: noise. labels [N] are the same on any device at any
/// thread count. Returns the number of clusters. Throws if a coordinate is NaN or infinite, if there are more than
/// max_points, if eps is not in [1e-150, 1e150], or if min_samples < 1.
template <class T>
int64_t dbscan(const Exec&, View<const T, 2> points /*[N, 2]*/, const DbscanOptions&, View<int32_t, 1> labels /*[N]*/);

/// The same for the unmasked points only, without a round trip to the host; masked points get -1. `clusters` [1], the
/// number of clusters, is in device memory. PointGrid<T>::fits(box, eps, N) must hold.
template <class T>
void dbscan(const Exec&, View<const T, 2> points, const MaskedPoints&, const DbscanOptions&, View<int32_t, 1> labels,
            int32_t* clusters);

}  // namespace basin::kernels

#include "kernels/cluster/dbscan.h"

#include "kernels/cluster/dbscan_slots.h"
#include "kernels/cluster/dbscan_steps.h"

namespace basin::kernels {
namespace {

void check(const DbscanOptions& options) {
  if (!(options.eps >= 1e-150 && options.eps <= 1e150)) refuse("--eps ", options.eps, ": expected 1e-150 to 1e150");
  if (options.min_samples < 1) refuse("min_samples = ", options.min_samples, ": expected 1 or more");
}

/// Uses the fastest implementation for a grid, depending on whether all points are inside its cells.
template <class T>
void label(const Exec& exec, const GridView<T>& grid, bool all_inside, const DbscanOptions& options, int32_t* labels,
           int32_t* clusters) {
  if (exec.variant == Variant::automatic) {
    if (exec.device == Device::cpu && all_inside && label_clusters_batched<T>(exec, grid, options, labels, clusters))
      return;
    if (exec.device == Device::cuda && grid.table) return label_slots<T>(exec, grid, options, labels, clusters);
  }
  label_clusters<T, OneByOne<T>>(exec, grid, options, labels, clusters);
}

}  // namespace

template <class T>
int64_t dbscan(const Exec& exec, View<const T, 2> points, const DbscanOptions& options, View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  check(options);
  if (points.dim[0] == 0) return 0;
  const PointGrid<T> sorted(exec, points, options.eps);
  const Temp<int32_t> clusters(exec, 1);
  label<T>(exec, sorted.view(), true, options, labels.data, clusters.data());
  return read_back(exec, clusters.data());
}

template <class T>
void dbscan(const Exec& exec, View<const T, 2> points, const MaskedPoints& some, const DbscanOptions& options,
            View<int32_t, 1> labels, int32_t* clusters) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  check(options);
  const PointGrid<T> sorted(exec, points, options.eps, some);
  label<T>(exec, sorted.view(), false, options, labels.data, clusters);
}

template int64_t dbscan<float>(const Exec&, View<const float, 2>, const DbscanOptions&, View<int32_t, 1>);
template int64_t dbscan<double>(const Exec&, View<const double, 2>, const DbscanOptions&, View<int32_t, 1>);
template void dbscan<float>(const Exec&, View<const float, 2>, const MaskedPoints&, const DbscanOptions&,
                            View<int32_t, 1>, int32_t*);
template void dbscan<double>(const Exec&, View<const double, 2>, const MaskedPoints&, const DbscanOptions&,
                             View<int32_t, 1>, int32_t*);

}  // namespace basin::kernels

#include "kernels/dbscan.h"

#include "kernels/dbscan_steps.h"

namespace basin::kernels {

template <class T>
int64_t dbscan(const Exec& exec, View<const T, 2> points, const DbscanOptions& options, View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  if (!(options.eps >= 1e-150 && options.eps <= 1e150)) refuse("--eps ", options.eps, ": expected 1e-150 to 1e150");
  if (options.min_samples < 1) refuse("min_samples = ", options.min_samples, ": expected 1 or more");
  if (points.dim[0] == 0) return 0;
  const PointGrid<T> sorted(exec, points, options.eps);
  int64_t clusters = 0;
  const bool batched = exec.device == Device::cpu && exec.variant == Variant::automatic;
  if (batched && label_clusters_batched<T>(exec, sorted.view(), options, labels.data, &clusters)) return clusters;
  return label_clusters<T, OneByOne<T>>(exec, sorted.view(), options, labels.data);
}

template int64_t dbscan<float>(const Exec&, View<const float, 2>, const DbscanOptions&, View<int32_t, 1>);
template int64_t dbscan<double>(const Exec&, View<const double, 2>, const DbscanOptions&, View<int32_t, 1>);

}  // namespace basin::kernels

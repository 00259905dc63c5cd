#include "kernels/cluster/border_points.h"

#include "kernels/cluster/neighbours.h"
#include "kernels/cluster/point_grid.h"
#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

constexpr int32_t no_label = INT32_MAX;

/// The labels of the core points in the order of the slots; no_label for others, so that minima ignore them.
template <class T>
struct CoreLabelsBySlot {
  GridView<T> grid;
  const int32_t* labels;
  int32_t* of_slot;

  BASIN_HD void operator()(int64_t p) const {
    const int32_t label = labels[grid.index[p]];
    of_slot[p] = label < 0 ? no_label : label;
  }
};

template <class T>
struct JoinBorderPoint {
  GridView<T> grid;
  EpsBounds<T> eps;
  const int32_t* of_slot;
  int32_t* labels;

  BASIN_HD void operator()(int64_t p) const {
    if (of_slot[p] != no_label) return;
    const int32_t smallest = smallest_near<OneByOne<T>>(grid, eps, p, of_slot, no_label);
    if (smallest != no_label) labels[grid.index[p]] = smallest;
  }
};

}  // namespace

template <class T>
void join_border_points(const Exec& exec, View<const T, 2> points, double eps, View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  if (points.dim[0] == 0) return;
  const PointGrid<T> sorted(exec, points, eps);
  const GridView<T> grid = sorted.view();
  const Temp<int32_t> of_slot(exec, grid.n);
  for_each(exec, grid.n, CoreLabelsBySlot<T>{grid, labels.data, of_slot.data()});
  for_each(exec, grid.n, JoinBorderPoint<T>{grid, EpsBounds<T>(eps), of_slot.data(), labels.data});
}

template void join_border_points<float>(const Exec&, View<const float, 2>, double, View<int32_t, 1>);
template void join_border_points<double>(const Exec&, View<const double, 2>, double, View<int32_t, 1>);

}  // namespace basin::kernels

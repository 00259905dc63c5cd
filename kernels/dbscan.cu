#include "kernels/dbscan.h"

#include "kernels/parallel.h"
#include "kernels/point_grid.h"
#include "kernels/sort.h"
#include "kernels/union_find.h"

namespace basin::kernels {
namespace {

constexpr int32_t none = INT32_MAX;  // the node of a point that is not core: above every node, for minima

/// The points of up to five cells of a row, those that may be neighbours: places [begin, end).
struct Range {
  int begin, end;
};

template <class T>
BASIN_HD Range row_near(const GridView<T>& grid, uint64_t key, int rows_down) {
  const uint64_t middle = key + uint64_t(int64_t(rows_down) * int64_t(grid.stride));
  return {grid.first(middle - 2), grid.first(middle + 3)};
}

/// Finds the core points of the cell that starts at place i. All of them are one node: the smallest input index.
template <class T>
struct FindCore {
  GridView<T> grid;
  double eps2;
  int min_samples;
  int32_t* node;    // [N] by place: the node of a core point, or none
  int32_t* parent;  // [N] by input index: a node is its own, -1 for what is not a node

  BASIN_HD void operator()(int64_t i) const {
    if (!grid.starts_cell(i)) return;
    const uint64_t key = grid.key[i];
    const int begin = int(i), end = grid.first(key + 1);
    const bool dense = end - begin >= min_samples;  // a cell is nowhere wider than eps
    Range near[5] = {};
    if (!dense)
      for (int r = 0; r < 5; ++r)
        near[r] = row_near(grid, key, order(r));
    int32_t smallest = none;
    for (int p = begin; p < end; ++p) {
      const bool core = dense || is_core(p, near);
      node[p] = core ? 0 : none;
      if (core && grid.index[p] < smallest) smallest = grid.index[p];
      parent[grid.index[p]] = -1;
    }
    if (smallest == none) return;
    for (int p = begin; p < end; ++p)
      if (node[p] != none) node[p] = smallest;
    parent[smallest] = smallest;
  }

  /// The own row first: the sooner there are enough.
  static BASIN_HD int order(int r) { return r == 0 ? 0 : (r & 1) ? (r + 1) / 2 : -r / 2; }

  BASIN_HD bool is_core(int p, const Range* near) const {
    int count = 0;
    for (int r = 0; r < 5 && count < min_samples; ++r)
      for (int q = near[r].begin; q < near[r].end; ++q)
        count += grid.squared_distance(p, q) <= eps2;
    return count >= min_samples;
  }
};

/// Unites the node of the cell that starts at place i with those of the cells after it within reach.
template <class T>
struct UniteCells {
  GridView<T> grid;
  double eps2;
  const int32_t* node;
  UnionFind sets;

  BASIN_HD void operator()(int64_t i) const {
    if (!grid.starts_cell(i)) return;
    const int end = grid.first(grid.key[i] + 1), begin = first_core(int(i), end);
    if (begin == end) return;
    unite_with(begin, end, {end, grid.first(grid.key[i] + 3)});
    for (int r = 1; r <= 2; ++r)
      unite_with(begin, end, row_near(grid, grid.key[i], r));
  }

  BASIN_HD int first_core(int p, int end) const {
    while (p < end && node[p] == none)
      ++p;
    return p;
  }

  BASIN_HD void unite_with(int begin, int end, Range others) const {
    while (others.begin < others.end) {
      const int other_end = grid.first(grid.key[others.begin] + 1);
      const int other = first_core(others.begin, other_end);
      if (other < other_end && sets.find(node[begin]) != sets.find(node[other]) && touch(begin, end, other, other_end))
        sets.unite(node[begin], node[other]);
      others.begin = other_end;
    }
  }

  BASIN_HD bool touch(int begin, int end, int other_begin, int other_end) const {
    for (int p = begin; p < end; ++p)
      if (node[p] != none)
        for (int q = other_begin; q < other_end; ++q)
          if (node[q] != none && grid.squared_distance(p, q) <= eps2) return true;
    return false;
  }
};

/// node: from that of the cell to that of the cluster, its smallest core index.
struct Flatten {
  UnionFind sets;
  int32_t* node;

  BASIN_HD void operator()(int64_t p) const {
    if (node[p] != none) node[p] = sets.find(node[p]);
  }
};

struct MarkRoots {
  const int32_t* parent;
  int32_t* number;

  BASIN_HD void operator()(int64_t i) const { number[i] = parent[i] == i; }
};

template <class T>
struct Label {
  GridView<T> grid;
  double eps2;
  const int32_t *node, *number;
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const {
    if (!grid.starts_cell(i)) return;
    const uint64_t key = grid.key[i];
    const int end = grid.first(key + 1);
    for (int p = int(i); p < end; ++p) {
      const int32_t root = node[p] != none ? node[p] : nearby_root(p, key);
      labels[grid.index[p]] = root == none ? -1 : number[root];
    }
  }

  BASIN_HD int32_t nearby_root(int p, uint64_t key) const {
    int32_t smallest = none;
    for (int r = -2; r <= 2; ++r) {
      const Range near = row_near(grid, key, r);
      for (int q = near.begin; q < near.end; ++q) {
        const int32_t root = grid.squared_distance(p, q) <= eps2 ? node[q] : none;
        smallest = root < smallest ? root : smallest;
      }
    }
    return smallest;
  }
};

}  // namespace

template <class T>
int64_t dbscan(const Exec& exec, View<const T, 2> points, const DbscanOptions& options, View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  if (!(options.eps >= 1e-150 && options.eps <= 1e150)) refuse("eps = ", options.eps, ": expected 1e-150 to 1e150");
  if (options.min_samples < 1) refuse("min_samples = ", options.min_samples, ": expected 1 or more");
  const int n = points.dim[0];
  if (n == 0) return 0;
  const PointGrid<T> sorted(exec, points, options.eps);
  const GridView<T> grid = sorted.view();
  const double eps2 = options.eps * options.eps;
  Temp<int32_t> node(exec, n), parent(exec, n), number(exec, n);
  const UnionFind sets{parent.data()};
  for_each(exec, n, FindCore<T>{grid, eps2, options.min_samples, node.data(), parent.data()});
  for_each(exec, n, UniteCells<T>{grid, eps2, node.data(), sets});
  for_each(exec, n, Flatten{sets, node.data()});
  for_each(exec, n, MarkRoots{parent.data(), number.data()});
  const int64_t clusters = exclusive_sum(exec, {number.data(), {n}});
  for_each(exec, n, Label<T>{grid, eps2, node.data(), number.data(), labels.data});
  return clusters;
}

template int64_t dbscan<float>(const Exec&, View<const float, 2>, const DbscanOptions&, View<int32_t, 1>);
template int64_t dbscan<double>(const Exec&, View<const double, 2>, const DbscanOptions&, View<int32_t, 1>);

}  // namespace basin::kernels

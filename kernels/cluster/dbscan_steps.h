#pragma once
#include "kernels/cluster/dbscan.h"
#include "kernels/cluster/neighbours.h"
#include "kernels/runtime/sort.h"
#include "kernels/runtime/union_find.h"

// DBSCAN on a PointGrid, for both implementations of the neighbour search. In an anonymous namespace, because one
// source that includes this is compiled with CUDA and one never is.
namespace basin::kernels {

/// label_clusters below with AVX2 or AVX-512. Returns false and does nothing if the processor supports neither.
template <class T>
bool label_clusters_batched(const Exec&, const GridView<T>&, const DbscanOptions&, int32_t* labels, int32_t* clusters);

namespace {

constexpr int32_t none = INT32_MAX;  // node of points that are not core: larger than any node, so that minima ignore it

/// Finds the core points of the cell that starts at slot i. They form one node, identified by their smallest input
/// index.
template <class T, class Near>
struct FindCore {
  GridView<T> grid;
  EpsBounds<T> eps;
  int min_samples;
  int32_t* node;       // [N] by slot: the node of a core point, or none
  int32_t* cell_node;  // [N] by the first slot of a cell
  int32_t* parent;     // [N] by input index: a node is its own parent; initially -1

  BASIN_HD void operator()(Range cell) const {
    const bool dense = cell.end - cell.begin >= min_samples;  // a cell is no wider than eps: all are core
    int32_t smallest = none;
    if (!dense) {
      const Rows<T> rows(grid, grid.key(cell.begin));
      for (int p = cell.begin; p < cell.end; ++p)
        node[p] = Near{grid, eps, p}.is_core(rows, min_samples) ? grid.index[p] : none;
    }
    for (int p = cell.begin; p < cell.end; ++p) {
      const int32_t own = dense ? grid.index[p] : node[p];
      smallest = own < smallest ? own : smallest;
    }
    cell_node[cell.begin] = smallest;
    if (smallest == none) return;
    for (int p = cell.begin; p < cell.end; ++p)
      if (dense || node[p] != none) node[p] = smallest;
    parent[smallest] = smallest;
  }
};

/// Unites the node of the cell that starts at slot i with those of later cells at this distance that have a core point
/// within eps. Distance 1 comes before distance 2, when most of the latter are already united.
template <class T, class Near, int distance>
struct UniteCells {
  GridView<T> grid;
  EpsBounds<T> eps;
  const int32_t *node, *cell_node;
  UnionFind sets;

  BASIN_HD void operator()(Range cell) const {
    int32_t root = cell_node[cell.begin];
    if (root == none) return;
    const uint64_t key = grid.key(cell.begin), below = key + grid.stride;
    if (distance == 1) {
      unite_with(cell, key + 1, key + 1, root);
      unite_with(cell, below - 1, below + 1, root);
    } else {
      unite_with(cell, key + 2, key + 2, root);
      unite_with(cell, below - 2, below - 2, root);
      unite_with(cell, below + 2, below + 2, root);
      unite_with(cell, below + grid.stride - 2, below + grid.stride + 2, root);
    }
  }

  BASIN_HD void unite_with(Range cell, uint64_t first_key, uint64_t last_key, int32_t& root) const {
    const int end = grid.first(last_key + 1);
    for (int begin = grid.first(first_key); begin < end;) {
      const Range other{begin, grid.cell_end(begin)};
      begin = other.end;
      const int32_t other_node = cell_node[other.begin];
      if (other_node == none || other_node == root) continue;
      root = sets.find(root);
      if (sets.find(other_node) == root || !touch(cell, other)) continue;
      sets.unite(root, other_node);
    }
  }

  BASIN_HD bool touch(Range cell, Range other) const {
    for (int p = cell.begin; p < cell.end; ++p)
      if (node[p] != none && Near{grid, eps, p}.any(other, node, none)) return true;
    return false;
  }
};

/// Replaces the node of each cell by its root.
struct FlattenCells {
  UnionFind sets;
  int32_t* cell_node;

  BASIN_HD void operator()(Range cell) const {
    int32_t& node = cell_node[cell.begin];
    if (node != none) node = sets.find(node);
  }
};

/// Replaces the node of each core point by that of its cluster, its smallest core index.
struct FlattenPoints {
  UnionFind sets;
  const int32_t* cell_node;
  int32_t* node;

  BASIN_HD void operator()(Range cell) const {
    if (cell_node[cell.begin] == none) return;
    const int32_t root = sets.find(cell_node[cell.begin]);
    for (int p = cell.begin; p < cell.end; ++p)
      if (node[p] != none) node[p] = root;
  }
};

template <class T, class Near>
struct Label {
  GridView<T> grid;
  EpsBounds<T> eps;
  const int32_t *node, *number;
  int32_t* labels;
  bool border_points;

  BASIN_HD void operator()(int64_t p) const {
    int32_t root = node[p];
    if (root == none && border_points && (Near::all_inside || grid.is_inside(p)))
      root = smallest_near<Near>(grid, eps, p, node, root);
    labels[grid.index[p]] = root == none ? -1 : number[root];
  }
};

struct CopyTotal {
  const int32_t* from;
  int32_t* to;

  BASIN_HD void operator()(int64_t) const { *to = *from; }
};

/// number[i], i < n: the number of roots before i. `total` receives the number of all roots.
inline void number_roots(const Exec& exec, const int32_t* parent, int n, int32_t* number /*[n + 1]*/, int32_t* total) {
  for_each(exec, n, MarkRoots{parent, number});
  for_each(exec, 1, Fill<int32_t>{number + n, 0});
  exclusive_scan(exec, {number, {n + 1}});
  for_each(exec, 1, CopyTotal{number + n, total});
}

/// Writes labels and the number of clusters to device memory; the host waits for neither.
template <class T, class Near>
void label_clusters(const Exec& exec, const GridView<T>& grid, const DbscanOptions& options, int32_t* labels,
                    int32_t* clusters) {
  const int n = grid.n;
  const EpsBounds<T> eps(options.eps);
  // Two arrays are reused: labels are written after the union-find is done, numbers after the cells are.
  Temp<int32_t> node(exec, n + read_ahead), cell_node(exec, n + 1);
  int32_t *parent = labels, *number = cell_node.data();
  const UnionFind sets{parent};
  for_each(exec, n, Fill<int32_t>{parent, -1});
  if (!Near::all_inside) for_each(exec, n, Fill<int32_t>{node.data(), none});
  Near::for_each_cell(exec, grid,
                      FindCore<T, Near>{grid, eps, options.min_samples, node.data(), cell_node.data(), parent});
  Near::for_each_cell(exec, grid, UniteCells<T, Near, 1>{grid, eps, node.data(), cell_node.data(), sets});
  Near::for_each_cell(exec, grid, FlattenCells{sets, cell_node.data()});
  Near::for_each_cell(exec, grid, UniteCells<T, Near, 2>{grid, eps, node.data(), cell_node.data(), sets});
  Near::for_each_cell(exec, grid, FlattenPoints{sets, cell_node.data(), node.data()});
  number_roots(exec, parent, n, number, clusters);
  Near::for_each_slot(exec, grid, Label<T, Near>{grid, eps, node.data(), number, labels, options.border_points});
}

}  // namespace
}  // namespace basin::kernels

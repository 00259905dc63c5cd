#pragma once
#include "kernels/cluster/dbscan_steps.h"
#include "kernels/runtime/relaxed_atomics.h"

// DBSCAN on a GPU, where the grid has a table: a thread for each slot instead of each cell. Neighbouring threads then
// read the same points at the same time, and a cell of many points is not one thread's work.
namespace basin::kernels {
namespace {

/// Finds the core points, each with its input index.
template <class T>
struct FindCorePlaces {
  GridView<T> grid;
  EpsBounds<T> eps;
  int min_samples;
  int32_t* core;    // [N] by slot: the input index of a core point, or none
  int32_t* parent;  // [N] by input index: -1

  BASIN_HD void operator()(int64_t p) const {
    const int32_t own = grid.index[p];
    parent[own] = -1;
    core[p] = grid.is_inside(p) && is_core(int(p)) ? own : none;
  }
  BASIN_HD bool is_core(int p) const {
    const uint64_t key = grid.key(p);
    if (grid.first(key + 1) - grid.first(key) >= min_samples) return true;  // a cell is nowhere wider than eps
    return OneByOne<T>{grid, eps, p}.is_core(Rows<T>(grid, key), min_samples);
  }
};

/// The core points of a cell become one node, the smallest input index. Slots of a cell are in the order of the input:
/// it is that of the first.
template <class T>
struct JoinCellSlots {
  GridView<T> grid;
  int32_t* core;  // becomes the cell's node where a cell starts; a thread that reads it before or after finds the same
  int32_t* node;  // [N] by slot
  int32_t* parent;  // [N] by input index: a node is its own

  BASIN_HD void operator()(int64_t p) const {
    if (!grid.is_inside(p)) {
      node[p] = none;
      return;
    }
    const uint64_t key = grid.key(p);
    const int begin = grid.first(key), end = grid.first(key + 1);
    const int32_t own = core[p];
    int32_t smallest = none;
    for (int q = begin; q < end && smallest == none; ++q)
      smallest = relaxed_load(core + q);
    node[p] = own == none ? none : smallest;
    if (own != none && own == smallest) parent[own] = own;
    if (p == begin && own != smallest) relaxed_store(core + p, smallest);
  }
};

/// As UniteCells, each core point for itself.
template <class T, int distance>
struct UniteCellSlots {
  static constexpr int neighbours = distance == 1 ? 4 : 8;
  UniteCells<T, OneByOne<T>, distance> cells;

  BASIN_HD void operator()(int64_t p) const {
    const GridView<T>& grid = cells.grid;
    if (cells.node[p] == none) return;
    const uint64_t key = grid.key(p);
    int32_t root = cells.cell_node[grid.first(key)];
    for (int k = 0; k < neighbours; ++k) {  // points of a cell begin with different ones: what one has united is done
      const uint64_t other = key + offset((k + int(p)) % neighbours, grid.stride);
      cells.unite_with({int(p), int(p) + 1}, other, other, root);
    }
  }
  /// From a cell's key to that of one after it, so many cells away: first in its own row, then in the next ones.
  static BASIN_HD uint64_t offset(int k, uint64_t stride) {
    if (distance == 1) return k == 0 ? 1 : stride + uint64_t(k) - 2;
    if (k == 0) return 2;
    return k < 3 ? stride + 4 * uint64_t(k) - 6 : 2 * stride + uint64_t(k) - 5;
  }
};

struct FlattenSlots {
  UnionFind sets;
  int32_t* node;

  BASIN_HD void operator()(int64_t p) const {
    if (node[p] != none) node[p] = sets.find(node[p]);
  }
};

/// As label_clusters.
template <class T>
void label_slots(const Exec& exec, const GridView<T>& grid, const DbscanOptions& options, int32_t* labels,
                 int32_t* clusters) {
  using Near = OneByOne<T>;
  const int n = grid.n;
  const EpsBounds<T> eps(options.eps);
  Temp<int32_t> node(exec, n), cell_node(exec, n + 1);
  int32_t *parent = labels, *number = cell_node.data();
  const UnionFind sets{parent};
  for_each(exec, n, FindCorePlaces<T>{grid, eps, options.min_samples, cell_node.data(), parent});
  for_each(exec, n, JoinCellSlots<T>{grid, cell_node.data(), node.data(), parent});
  for_each(exec, n, UniteCellSlots<T, 1>{{grid, eps, node.data(), cell_node.data(), sets}});
  Near::for_each_cell(exec, grid, FlattenCells{sets, cell_node.data()});
  for_each(exec, n, UniteCellSlots<T, 2>{{grid, eps, node.data(), cell_node.data(), sets}});
  for_each(exec, n, FlattenSlots{sets, node.data()});
  number_roots(exec, parent, n, number, clusters);
  for_each(exec, n, Label<T, Near>{grid, eps, node.data(), number, labels});
}

}  // namespace
}  // namespace basin::kernels

#pragma once
#include "kernels/cluster/dbscan_steps.h"
#include "kernels/runtime/relaxed_atomics.h"

// DBSCAN on a GPU for a grid with a table: a thread processes a slot instead of a cell. Neighbouring threads then read
// the same points at the same time, and many threads share a cell with many points.
namespace basin::kernels {
namespace {

/// Finds the core points and writes their input indices. A search stops as soon as enough neighbours are found or too
/// few candidates remain.
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
    if (grid.first(key + 1) - grid.first(key) >= min_samples) return true;  // a cell is no wider than eps
    const Rows<T> rows(grid, key);
    const T x = grid.x[p], y = grid.y[p];
    int left = 0, found = 0;
    for (const Range& row : rows.near)
      left += row.end - row.begin;
    for (int r = 0; r < 5; ++r) {
      if (found + left < min_samples) return false;
      const Range row = rows.near[r];
      left -= row.end - row.begin;
      if (r >= 3 && !eps.second_row_is_near(double(y), r == 3 ? 2 : -2)) continue;
      for (int q = row.begin; q < row.end; q += at_once) {
        found += count_near(x, y, q, row.end);
        if (found >= min_samples) return true;
      }
    }
    return false;
  }

 private:
  static constexpr int at_once = 4;  // their coordinates are loaded before any comparison
  static_assert(at_once <= read_ahead);

  /// How many of the slots from q to q + at_once, and before `end`, are near (x, y).
  BASIN_HD int count_near(T x, T y, int q, int end) const {
    T to_x[at_once], to_y[at_once];
    for (int k = 0; k < at_once; ++k)
      to_x[k] = grid.x[q + k], to_y[k] = grid.y[q + k];
    int found = 0;
    for (int k = 0; k < at_once; ++k) {
      const T dx = x - to_x[k], dy = y - to_y[k], d2 = dx * dx + dy * dy;
      const bool counts = q + k < end, surely = d2 <= eps.sure;
      found += counts && surely;
      if (sizeof(T) < sizeof(double) && counts && !surely && !(d2 > eps.possible)) {  // rare
        const double ex = double(x) - double(to_x[k]), ey = double(y) - double(to_y[k]);
        found += ex * ex + ey * ey <= eps.squared;
      }
    }
    return found;
  }
};

/// Makes the core points of a cell one node, identified by their smallest input index. Slots of a cell are in the order
/// of the input, so this is the index of its first core point.
template <class T>
struct JoinCellSlots {
  GridView<T> grid;
  int32_t* core;    // the first slot of a cell receives the cell's node; other threads may read either value
  int32_t* node;    // [N] by slot
  int32_t* parent;  // [N] by input index: initially each node is its own parent

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

/// Like UniteCells, but with a thread per core point.
template <class T, int distance>
struct UniteCellSlots {
  static constexpr int neighbours = distance == 1 ? 4 : 8;
  UniteCells<T, OneByOne<T>, distance> cells;

  BASIN_HD void operator()(int64_t p) const {
    const GridView<T>& grid = cells.grid;
    if (cells.node[p] == none) return;
    const uint64_t key = grid.key(p);
    int32_t root = cells.cell_node[grid.first(key)];
    for (int k = 0; k < neighbours; ++k) {  // points of a cell start with different neighbours, to share the work
      const uint64_t other = key + offset((k + int(p)) % neighbours, grid.stride);
      cells.unite_with({int(p), int(p) + 1}, other, other, root);
    }
  }
  /// The offset from a cell's key to that of its k-th later neighbour at this distance: first in its own row, then in
  /// the next rows.
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

/// Like label_clusters, but with a thread per slot.
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
  for_each(exec, n, Label<T, Near>{grid, eps, node.data(), number, labels, options.border_points});
}

}  // namespace
}  // namespace basin::kernels

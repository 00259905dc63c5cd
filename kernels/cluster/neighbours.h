#pragma once
#include "kernels/cluster/point_grid.h"
#include "kernels/runtime/parallel.h"

// Which points of a PointGrid lie within eps of a given one. The result is always that of d^2 <= eps^2 in double; for
// float coordinates, distances are computed in float, and in double only for the few that are too close to eps. Two
// implementations with the same results: OneByOne on any device, Batched (neighbours_batched.h) on the CPU.
namespace basin::kernels {

/// Slots [begin, end).
struct Range {
  int begin, end;
};

/// The points of five cells, centred on the column of `key` and `rows_down` rows below it: all points of that row that
/// can be within eps.
template <class T>
BASIN_HD Range row_near(const GridView<T>& grid, uint64_t key, int rows_down) {
  const uint64_t middle = key + uint64_t(int64_t(rows_down) * int64_t(grid.stride));
  return {grid.first(middle - 2), grid.first(middle + 3)};
}

/// All points that may be within eps of a point of the cell; its own row first, the outermost last.
template <class T>
struct Rows {
  Range near[5];

  BASIN_HD Rows(const GridView<T>& grid, uint64_t key)
      : near{row_near(grid, key, 0), row_near(grid, key, 1), row_near(grid, key, -1), row_near(grid, key, 2),
             row_near(grid, key, -2)} {}
};

/// The relative error of d^2 computed in float from float coordinates is less than 4 units of 2^-24. At most `sure`:
/// within eps; above `possible`: not within eps. For double both are eps^2.
template <class T>
struct EpsBounds {
  CellAxis axis;
  double squared;
  T sure, possible;

  explicit EpsBounds(double eps) : axis(eps), squared(eps * eps), sure(T(squared)), possible(T(squared)) {
    if (sizeof(T) == sizeof(double)) return;
    const bool representable = squared > 1e-30 && squared < 1e30;
    sure = representable ? T(squared * (1 - 0x1p-20)) : T(-1);
    possible = representable ? T(squared * (1 + 0x1p-20)) : T(HUGE_VAL);
  }
  /// Whether the second row below (rows_down 2) or above (-2) that of a point may contain points within eps of it. A
  /// cell's side is eps / sqrt(2).
  BASIN_HD bool second_row_is_near(double y, int rows_down) const {
    const double offset = axis.offset(y);
    return rows_down > 0 ? offset > 2 - 1.41422 : offset < 1.41422 - 1;
  }
};

template <class T, class F>
struct CellAt {
  GridView<T> grid;
  F f;

  BASIN_HD void operator()(int64_t p) const {
    if (grid.is_inside(p) && grid.starts_cell(p)) f(Range{int(p), grid.cell_end(int(p))});
  }
};

/// The smallest of `smallest` and the values of the slots near p that a Near (OneByOne or Batched) finds.
template <class Near, class T>
BASIN_HD int32_t smallest_near(const GridView<T>& grid, const EpsBounds<T>& eps, int64_t p, const int32_t* values,
                               int32_t smallest) {
  const uint64_t key = grid.key(p);
  for (int r = -2; r <= 2; ++r)
    if ((r > -2 && r < 2) || eps.second_row_is_near(double(grid.y[p]), r))
      smallest = Near{grid, eps, int(p)}.smallest(row_near(grid, key, r), values, smallest);
  return smallest;
}

template <class T>
struct OneByOne {
  static constexpr bool all_inside = false;  // slots may lie outside the cells
  const GridView<T>& grid;
  const EpsBounds<T>& eps;
  int p;

  BASIN_HD bool is_near(int q) const {
    if (sizeof(T) < sizeof(double)) {
      const T dx = grid.x[p] - grid.x[q], dy = grid.y[p] - grid.y[q], d2 = dx * dx + dy * dy;
      if (d2 <= eps.sure) return true;
      if (d2 > eps.possible) return false;
    }
    return grid.squared_distance(p, q) <= eps.squared;
  }
  /// Whether at least `wanted` points of the rows are near p.
  BASIN_HD bool is_core(const Rows<T>& rows, int wanted) const {
    int found = 0;
    for (int r = 0; r < 5 && found < wanted; ++r)
      for (int q = rows.near[r].begin; q < rows.near[r].end && found < wanted; ++q)
        found += is_near(q);
    return found >= wanted;
  }
  /// The smallest value of the points of the range near p, or `otherwise`.
  BASIN_HD int32_t smallest(Range range, const int32_t* value, int32_t otherwise) const {
    for (int q = range.begin; q < range.end; ++q)
      if (value[q] < otherwise && is_near(q)) otherwise = value[q];
    return otherwise;
  }
  /// Whether a point of the range with a value below `limit` is near p.
  BASIN_HD bool any(Range range, const int32_t* value, int32_t limit) const {
    for (int q = range.begin; q < range.end; ++q)
      if (value[q] < limit && is_near(q)) return true;
    return false;
  }

  /// Calls f(cell) for all cells.
  template <class F>
  static void for_each_cell(const Exec& exec, const GridView<T>& grid, const F& f) {
    for_each(exec, grid.n, CellAt<T, F>{grid, f});
  }
  /// Calls f(p) for all slots.
  template <class F>
  static void for_each_slot(const Exec& exec, const GridView<T>& grid, const F& f) {
    for_each(exec, grid.n, f);
  }
};

}  // namespace basin::kernels

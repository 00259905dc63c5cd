#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/cluster/point_grid.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/relaxed_atomics.h"
#include "kernels/runtime/scratch.h"

// The key of a point: the index of its PointGrid cell.
namespace basin::kernels {
namespace {

constexpr int margin = 2;  // empty rows and columns around the cells, so that neighbour indices are never out of range

/// For cells whose indices are exact in double.
template <class T>
struct KeyByCell {
  View<const T, 2> points;
  CellAxis axis;
  double first_column, first_row, stride;  // of a grid with its margins
  uint32_t* key;

  BASIN_HD void operator()(int64_t from, int64_t k) const {
    const int64_t i = from + k;
    const double column = axis.near_cell(double(points.data[2 * i])) - first_column;
    const double row = axis.near_cell(double(points.data[2 * i + 1])) - first_row;
    key[i] = uint32_t(int32_t(row * stride + column));
  }
};

/// Used when the host does not wait for the device.
template <class T>
struct KeyInBox {
  KeyByCell<T> by_cell;
  MaskedPoints some;
  const int32_t* labels;
  uint32_t keys, left_out;

  BASIN_HD void operator()(int64_t from, int64_t k) const {
    const int64_t i = from + k;
    uint32_t& key = by_cell.key[i];
    key = left_out;
    if (!some.mask[i]) return;
    const double x = double(by_cell.points.data[2 * i]), y = double(by_cell.points.data[2 * i + 1]);
    const Bounds& box = some.box;
    if (x >= box.x_min && x <= box.x_max && y >= box.y_min && y <= box.y_max) {
      by_cell(from, k);
      if (labels && labels[i] < 0) key += keys;
    } else {
      relaxed_store(some.strays, 1);
    }
  }
};

/// From sorted keys, the number of points in each non-empty cell: a cell's first point writes minus its start slot; its
/// last point, in a second launch, adds the end slot.
template <bool last>
struct CountInCells {
  const uint32_t* key;
  int64_t n;
  uint32_t keys;
  int32_t* count;  // [keys + 1], initially 0

  BASIN_HD void operator()(int64_t p) const {
    if (key[p] >= keys) return;
    if (!last && (p == 0 || key[p - 1] != key[p])) count[key[p]] = -int32_t(p);
    if (last && (p + 1 == n || key[p + 1] != key[p])) count[key[p]] += int32_t(p + 1);
  }
};

template <class Key>
struct KeyByPosition {
  const int32_t *column, *row;
  int64_t stride;
  Key* key;

  BASIN_HD void operator()(int64_t i) const { key[i] = Key((int64_t(row[i]) + margin) * stride + column[i] + margin); }
};

template <class Key>
struct PutOutside {
  const int32_t* labels;
  Key keys;
  Key* key;

  BASIN_HD void operator()(int64_t i) const {
    if (labels[i] < 0) key[i] += keys;
  }
};

/// The range of cells that a box covers.
struct CellBox {
  double column, row, columns, rows;

  CellBox(const CellAxis& axis, const Bounds& b)
      : column(double(axis.cell(b.x_min))),
        row(double(axis.cell(b.y_min))),
        columns(double(axis.cell(b.x_max)) - column + 1),
        rows(double(axis.cell(b.y_max)) - row + 1) {}
  /// Whether their indices are exact in double.
  bool near() const {
    return std::max(std::max(std::abs(column), std::abs(column + columns)),
                    std::max(std::abs(row), std::abs(row + rows))) < 0x1p51;
  }
};

/// The destination of sorted points: one array per component, and for each key the first slot with that key or a larger
/// one.
template <class T>
struct CellArrays {
  T *x, *y;
  int32_t* index;
  uint32_t* key;   // in: keys in the order of the input; out: in sorted order
  int32_t* table;  // [keys + 1]
};

/// On the CPU: sorts points [N, 2] by key, where keys are below `keys`; equal keys stay in the order of the input. A
/// counting sort in two passes: first into bands of neighbouring keys, then by key within each band, which fits into a
/// core's own cache. assign_key(from, k) must write out.key[from + k].
template <class T, class AssignKey>
void sort_into_cells(const Exec& exec, View<const T, 2> points, int64_t keys, const AssignKey& assign_key,
                     const CellArrays<T>& out) {
  struct Point {
    T x, y;
    int32_t index;
    uint32_t key;
  };
  const int64_t n = points.dim[0];
  const int shift = std::max(8, int(std::bit_width(uint64_t(keys))) - 10);
  const int bands = int(keys >> shift) + 1, parts = parts_for(n);
  const auto begin_of = [=](int part) { return part_begin(n, parts, part); };
  Temp<int32_t> next(exec, int64_t(parts) * bands), band_begin(exec, bands + 1);
  Temp<Point> banded(exec, n);
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int32_t* count = next.data() + int64_t(part) * bands;
    std::fill(count, count + bands, 0);
    for (int64_t begin = begin_of(part), end; begin < begin_of(part + 1); begin = end) {
      end = std::min<int64_t>(begin + 4096, begin_of(part + 1));
      detail::row_in_order(begin, end - begin, assign_key);
      for (int64_t i = begin; i < end; ++i)
        ++count[out.key[i] >> shift];
    }
  }
  int32_t sum = 0;
  for (int band = 0; band < bands; ++band) {
    band_begin[band] = sum;
    for (int part = 0; part < parts; ++part) {
      int32_t& at = next[int64_t(part) * bands + band];
      const int32_t count = at;
      at = sum;
      sum += count;
    }
  }
  band_begin[bands] = sum;
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int32_t* to = next.data() + int64_t(part) * bands;
    for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i)
      banded[to[out.key[i] >> shift]++] = {points.data[2 * i], points.data[2 * i + 1], int32_t(i), out.key[i]};
  }
#pragma omp parallel for schedule(dynamic, 4) num_threads(parts)
  for (int band = 0; band < bands; ++band) {
    const int64_t first = int64_t(band) << shift, last = std::min((int64_t(band) + 1) << shift, keys);
    int32_t* at = out.table;
    std::fill(at + first, at + last, 0);
    for (int i = band_begin[band]; i < band_begin[band + 1]; ++i)
      ++at[banded[i].key];
    int32_t slot = band_begin[band];
    for (int64_t k = first; k < last; ++k)
      slot += std::exchange(at[k], slot);
    for (int i = band_begin[band]; i < band_begin[band + 1]; ++i) {
      const Point& point = banded[i];
      const int32_t to = at[point.key]++;
      out.x[to] = point.x;
      out.y[to] = point.y;
      out.index[to] = point.index;
      out.key[to] = point.key;
    }
    if (first == last) continue;
    std::memmove(at + first + 1, at + first, size_t(last - first - 1) * sizeof(int32_t));  // ends are the next begins
    at[first] = band_begin[band];
  }
  out.table[keys] = int32_t(n);
}

}  // namespace
}  // namespace basin::kernels

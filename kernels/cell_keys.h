#pragma once
#include <algorithm>
#include <cmath>

#include "kernels/parallel.h"
#include "kernels/point_grid.h"
#include "kernels/relaxed.h"

// Which cell of a PointGrid each point lies in, as a number: its key.
namespace basin::kernels {
namespace {

constexpr int margin = 2;  // free rows and columns around the cells: a neighbour is never out of range

/// Of cells near enough for doubles to count them.
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

/// Where the host does not wait for the device.
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

/// From sorted keys the number of points of each cell that has any: its first point takes away the place where the cell
/// begins, its last one, in another launch, adds that where it ends.
template <bool last>
struct CountInCells {
  const uint32_t* key;
  int64_t n;
  uint32_t keys;
  int32_t* count;  // [keys + 1], 0 before

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

/// The cells that a box lies in.
struct CellBox {
  double column, row, columns, rows;

  CellBox(const CellAxis& axis, const Bounds& b)
      : column(double(axis.cell(b.x_min))),
        row(double(axis.cell(b.y_min))),
        columns(double(axis.cell(b.x_max)) - column + 1),
        rows(double(axis.cell(b.y_max)) - row + 1) {}
  /// Whether doubles count them one by one.
  bool near() const {
    return std::max(std::max(std::abs(column), std::abs(column + columns)),
                    std::max(std::abs(row), std::abs(row + rows))) < 0x1p51;
  }
};

}  // namespace
}  // namespace basin::kernels

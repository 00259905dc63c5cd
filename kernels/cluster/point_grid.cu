#include "kernels/cluster/point_grid.h"

#include <algorithm>
#include <bit>

#include "kernels/cluster/bounds.h"
#include "kernels/cluster/cells.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

struct Count {
  int32_t* index;

  BASIN_HD void operator()(int64_t i) const { index[i] = int32_t(i); }
};

template <class T>
struct CellOnAxis {
  View<const T, 2> points;
  CellAxis axis;
  int coordinate;
  uint64_t* cell;
  int32_t* index;

  BASIN_HD void operator()(int64_t i) const {
    cell[i] = uint64_t(axis.cell(double(points.data[2 * i + coordinate]))) ^ uint64_t(1) << 63;
    index[i] = int32_t(i);
  }
};

/// The step in cells from one sorted slot to the next; gaps of 3 or more are cut to 3, which is still beyond eps.
BASIN_HD int32_t step_to(const uint64_t* cell, int64_t slot) {
  const uint64_t gap = slot == 0 ? 0 : cell[slot] - cell[slot - 1];
  return gap < 3 ? int32_t(gap) : 3;
}

struct Step {
  const uint64_t* cell;
  int32_t* step;

  BASIN_HD void operator()(int64_t slot) const { step[slot] = step_to(cell, slot); }
};

struct HandBack {
  const uint64_t* cell;
  const int32_t *index, *sum_before;
  int32_t* position;

  BASIN_HD void operator()(int64_t slot) const { position[index[slot]] = sum_before[slot] + step_to(cell, slot); }
};

/// Slot p (0 to n) fills the table from the key after that of slot p - 1 up to its own key. Keys >= `keys` belong to
/// points outside the cells.
struct FillTable {
  const uint32_t* key;
  int64_t n;
  uint64_t keys;
  int32_t* table;  // [keys + 1]

  BASIN_HD void operator()(int64_t p) const {
    const uint64_t end = p == n || key[p] >= keys ? keys + 1 : uint64_t(key[p]) + 1;
    for (uint64_t k = p == 0 ? 0 : uint64_t(key[p - 1]) + 1; k < end; ++k)
      table[k] = int32_t(p);
  }
};

template <class T>
struct CountInside {
  GridView<T> all;  // has no table: searched by bisection
  int32_t* inside;

  BASIN_HD void operator()(int64_t) const { *inside = all.first(all.keys); }
};

template <class T>
struct Collect {
  View<const T, 2> points;
  const int32_t* index;
  T *x, *y;

  BASIN_HD void operator()(int64_t p) const {
    const int64_t i = index[p];
    x[p] = points.data[2 * i];
    y[p] = points.data[2 * i + 1];
  }
};

}  // namespace

CellAxis::CellAxis(double eps) {
  BASIN_CHECK(eps >= 1e-150 && eps <= 1e150, "eps = ", eps);
  block_ = std::ldexp(1.0, std::ilogb(eps) + 21);
  inverse_block_ = 1 / block_;
  const double per_block = std::ceil(block_ / eps * (std::sqrt(2.0) * (1 + 0x1p-24)));
  per_block_ = per_block;
  scale_ = per_block * inverse_block_;
}

template <class T>
PointGrid<T>::PointGrid(const Exec& exec, double eps, int n)
    : exec_(exec),
      axis_(eps),
      all_(n),
      inside_(n),
      x_(exec, n + read_ahead),
      y_(exec, n + read_ahead),
      index_(exec, n) {}

template <class T>
PointGrid<T>::PointGrid(const Exec& exec, View<const T, 2> points, double eps, View<const int32_t, 1> labels)
    : PointGrid(exec, eps, points.dim[0]) {
  BASIN_CHECK(points.dim[1] == 2 && all_ <= max_points, "points ", points);
  BASIN_CHECK(!labels.data || labels.dim[0] == all_, "points ", points, ", labels ", labels);
  if (all_ == 0) return;
  const Bounds b = bounds_of(exec, points);
  const CellBox cells(axis_, b);
  if (cells.near() && small(cells.columns, cells.rows, all_)) {
    set_size(int64_t(cells.columns), int64_t(cells.rows));
    const KeyByCell<T> assign{points,          axis_,         cells.column - margin, cells.row - margin,
                              double(stride_), key32_->data()};
    if (exec.device == Device::cpu && exec.variant == Variant::automatic && !labels.data) {
      sort_into_cells<T>(exec, points, int64_t(keys_), assign,
                         {x_.data(), y_.data(), index_.data(), key32_->data(), table_->data()});
      return;
    }
    for_each_flat(exec, all_, assign);
    sort(points, labels.data, key32_->data());
    return;
  }
  Temp<int32_t> x(exec, all_), y(exec, all_);
  const int64_t used_columns = leave_out_gaps(points, 0, x.data()), used_rows = leave_out_gaps(points, 1, y.data());
  set_size(used_columns, used_rows);
  if (table_) {
    for_each(exec, all_, KeyByPosition<uint32_t>{x.data(), y.data(), int64_t(stride_), key32_->data()});
    sort(points, labels.data, key32_->data());
  } else {
    for_each(exec, all_, KeyByPosition<uint64_t>{x.data(), y.data(), int64_t(stride_), key64_->data()});
    sort(points, labels.data, key64_->data());
  }
}

template <class T>
PointGrid<T>::PointGrid(const Exec& exec, View<const T, 2> points, double eps, const MaskedPoints& some,
                        View<const int32_t, 1> labels)
    : PointGrid(exec, eps, points.dim[0]) {
  BASIN_CHECK(points.dim[1] == 2 && fits(some.box, eps, all_), "points ", points, ", eps ", eps);
  BASIN_CHECK(!labels.data || labels.dim[0] == all_, "points ", points, ", labels ", labels);
  const CellBox cells(axis_, some.box);
  set_size(int64_t(cells.columns), int64_t(cells.rows));
  const uint32_t keys = uint32_t(keys_), left_out = labels.data ? 2 * keys : keys;
  const KeyByCell<T> by_cell{points, axis_, cells.column - margin, cells.row - margin, double(stride_), key32_->data()};
  for_each_flat(exec, all_, KeyInBox<T>{by_cell, some, labels.data, keys, left_out});
  sort_by_cell(points, key32_->data(), left_out);
  fill_table(all_);
}

template <class T>
bool PointGrid<T>::fits(const Bounds& box, double eps, int64_t n) {
  if (!(eps >= 1e-150 && eps <= 1e150)) return false;
  const CellBox cells(CellAxis(eps), box);
  return n <= max_points && cells.near() && small(cells.columns, cells.rows, n);
}

template <class T>
bool PointGrid<T>::small(double columns, double rows, int64_t n) {
  return (columns + 2 * margin) * (rows + 2 * margin) <= std::min(16.0 * double(n) + 65536, 0x1p30);
}

template <class T>
void PointGrid<T>::set_size(int64_t columns, int64_t rows) {
  stride_ = uint64_t(columns + 2 * margin);
  keys_ = stride_ * uint64_t(rows + 2 * margin);
  if (small(double(columns), double(rows), all_)) {
    key32_.emplace(exec_, all_);
    table_.emplace(exec_, int64_t(keys_) + 1);
  } else {
    key64_.emplace(exec_, all_);
  }
}

template <class T>
template <class Key>
void PointGrid<T>::sort(View<const T, 2> points, const int32_t* labels, Key* key) {
  if (labels) for_each(exec_, all_, PutOutside<Key>{labels, Key(keys_), key});
  sort_by_cell(points, key, labels ? 2 * keys_ : keys_);
  if (labels) {
    Temp<int32_t> inside(exec_, 1);
    GridView<T> all = view();
    all.table = nullptr;
    for_each(exec_, 1, CountInside<T>{all, inside.data()});
    inside_ = read_back(exec_, inside.data());
  }
  if (table_) fill_table(inside_);
}

/// Builds the table of the first slot of each cell from the sorted keys of n slots.
template <class T>
void PointGrid<T>::fill_table(int64_t n) {
  int32_t* const table = table_->data();
  const uint32_t* const key = key32_->data();
  if (exec_.device == Device::cpu) return for_each(exec_, n + 1, FillTable{key, n, keys_, table});
  // Not with FillTable: a long run of empty cells would be filled by a single thread.
  const uint32_t keys = uint32_t(keys_);
  for_each(exec_, int64_t(keys_) + 1, Fill<int32_t>{table, 0});
  for_each(exec_, n, CountInCells<false>{key, n, keys, table});
  for_each(exec_, n, CountInCells<true>{key, n, keys, table});
  exclusive_scan(exec_, {table, {int(keys_) + 1}});
}

/// Sorts the points by their keys, which are at most `keys`.
template <class T>
template <class Key>
void PointGrid<T>::sort_by_cell(View<const T, 2> points, Key* key, uint64_t keys) {
  for_each(exec_, all_, Count{index_.data()});
  sort_by_key<Key>(exec_, {key, {all_}}, {index_.data(), {all_}}, std::bit_width(keys));
  for_each(exec_, all_, Collect<T>{points, index_.data(), x_.data(), y_.data()});
}

/// position[i]: the position of point i's cell on an axis on which runs of empty cells are shortened to two. Returns
/// the length of the axis.
template <class T>
int64_t PointGrid<T>::leave_out_gaps(View<const T, 2> points, int coordinate, int32_t* position) {
  Temp<uint64_t> cell(exec_, all_);
  Temp<int32_t> index(exec_, all_), sum(exec_, all_);
  for_each(exec_, all_, CellOnAxis<T>{points, axis_, coordinate, cell.data(), index.data()});
  sort_by_key<uint64_t>(exec_, {cell.data(), {all_}}, {index.data(), {all_}}, 64);
  for_each(exec_, all_, Step{cell.data(), sum.data()});
  const int64_t last = exclusive_sum(exec_, {sum.data(), {all_}});
  for_each(exec_, all_, HandBack{cell.data(), index.data(), sum.data(), position});
  return last + 1;
}

template <class T>
GridView<T> PointGrid<T>::view() const {
  GridView<T> v;
  v.n = inside_;
  v.x = x_.data(), v.y = y_.data(), v.index = index_.data();
  if (key32_) v.key32 = key32_->data();
  if (key64_) v.key64 = key64_->data();
  if (table_) v.table = table_->data();
  v.stride = stride_, v.keys = keys_;
  return v;
}

template class PointGrid<float>;
template class PointGrid<double>;

}  // namespace basin::kernels

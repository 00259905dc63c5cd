#include "kernels/point_grid.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "kernels/parallel.h"
#include "kernels/sort.h"

namespace basin::kernels {
namespace {

constexpr int margin = 2;  // free rows and columns around the cells: a neighbour is never out of range

/// One lane looks at points lane * chunk, lane * chunk + step, ...
template <class T>
struct FindBounds {
  View<const T, 2> points;
  int64_t chunk, step;
  View<double, 2> found;  // [lanes, 5]: x_min, x_max, y_min, y_max, first point that is not finite

  BASIN_HD void operator()(int64_t lane) const {
    const int64_t n = points.dim[0], begin = lane * chunk;
    const int64_t end = step > 1 || begin + chunk > n ? n : begin + chunk;
    double x_min = HUGE_VAL, x_max = -HUGE_VAL, y_min = HUGE_VAL, y_max = -HUGE_VAL, bad = HUGE_VAL;
    for (int64_t i = begin; i < end; i += step) {
      const double x = double(points.data[2 * i]), y = double(points.data[2 * i + 1]);
      if (!(fabs(x) < HUGE_VAL && fabs(y) < HUGE_VAL)) bad = bad < double(i) ? bad : double(i);
      x_min = x < x_min ? x : x_min, x_max = x > x_max ? x : x_max;
      y_min = y < y_min ? y : y_min, y_max = y > y_max ? y : y_max;
    }
    found(lane, 0) = x_min, found(lane, 1) = x_max, found(lane, 2) = y_min, found(lane, 3) = y_max;
    found(lane, 4) = bad;
  }
};

/// The last step of both ways to a key.
struct StoreKey {
  const int32_t* labels;
  int64_t stride;
  uint64_t keys;
  uint64_t* key;
  int32_t* index;

  BASIN_HD void operator()(int64_t i, int64_t column, int64_t row) const {
    key[i] = uint64_t((row + margin) * stride + column + margin) + (labels && labels[i] < 0 ? keys : 0);
    index[i] = int32_t(i);
  }
};

template <class T>
struct KeyByCell {
  View<const T, 2> points;
  CellAxis axis;
  int64_t first_column, first_row;
  StoreKey store;

  BASIN_HD void operator()(int64_t i) const {
    store(i, axis.cell(double(points.data[2 * i])) - first_column,
          axis.cell(double(points.data[2 * i + 1])) - first_row);
  }
};

struct KeyByPosition {
  const int32_t *column, *row;
  StoreKey store;

  BASIN_HD void operator()(int64_t i) const { store(i, column[i], row[i]); }
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

/// From a place in rising order to the next cell's: 3 stands for anything beyond a neighbour's reach.
BASIN_HD int32_t step_to(const uint64_t* cell, int64_t place) {
  const uint64_t gap = place == 0 ? 0 : cell[place] - cell[place - 1];
  return gap < 3 ? int32_t(gap) : 3;
}

struct Step {
  const uint64_t* cell;
  int32_t* step;

  BASIN_HD void operator()(int64_t place) const { step[place] = step_to(cell, place); }
};

struct HandBack {
  const uint64_t* cell;
  const int32_t *index, *sum_before;
  int32_t* position;

  BASIN_HD void operator()(int64_t place) const { position[index[place]] = sum_before[place] + step_to(cell, place); }
};

/// Place p, n included, fills in the keys above that of the place before up to its own.
struct FillTable {
  const uint64_t* key;
  int64_t n;
  uint64_t keys;
  int32_t* table;  // [keys + 1]

  BASIN_HD void operator()(int64_t p) const {
    const uint64_t end = p == n ? keys + 1 : key[p] + 1;
    for (uint64_t k = p == 0 ? 0 : key[p - 1] + 1; k < end; ++k)
      table[k] = int32_t(p);
  }
};

struct CountInside {
  GridView<float> all;
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

template <class T>
Bounds bounds_of(const Exec& exec, View<const T, 2> points) {
  const int64_t n = points.dim[0];
  BASIN_CHECK(n > 0 && points.dim[1] == 2, "points ", points);
  const bool cpu = exec.device == Device::cpu;
  const int64_t chunk = cpu ? 16384 : 1, lanes = cpu ? (n + chunk - 1) / chunk : std::min<int64_t>(n, 4096);
  Temp<double> found(exec, 5 * lanes);
  for_each_in_groups(exec, lanes, 1, FindBounds<T>{points, chunk, cpu ? 1 : lanes, {found.data(), {int(lanes), 5}}});
  std::vector<double> lane(size_t(5 * lanes));
  read_back(exec, found.data(), 5 * lanes, lane.data());
  Bounds b{HUGE_VAL, -HUGE_VAL, HUGE_VAL, -HUGE_VAL};
  double bad = HUGE_VAL;
  for (size_t l = 0; l < lane.size(); l += 5) {
    b.x_min = std::min(b.x_min, lane[l]), b.x_max = std::max(b.x_max, lane[l + 1]);
    b.y_min = std::min(b.y_min, lane[l + 2]), b.y_max = std::max(b.y_max, lane[l + 3]);
    bad = std::min(bad, lane[l + 4]);
  }
  if (bad < HUGE_VAL) refuse("point ", int64_t(bad), " has a coordinate that is not finite");
  return b;
}

CellAxis::CellAxis(double reach) {
  BASIN_CHECK(reach >= 1e-150 && reach <= 1e150, "reach = ", reach);
  block_ = std::ldexp(1.0, std::ilogb(reach) + 21);
  inverse_block_ = 1 / block_;
  const double per_block = std::ceil(block_ / reach * (std::sqrt(2.0) * (1 + 0x1p-24)));
  per_block_ = int64_t(per_block);
  scale_ = per_block * inverse_block_;
}

template <class T>
PointGrid<T>::PointGrid(const Exec& exec, View<const T, 2> points, double reach, View<const int32_t, 1> labels)
    : exec_(exec),
      axis_(reach),
      all_(points.dim[0]),
      inside_(all_),
      x_(exec, all_),
      y_(exec, all_),
      index_(exec, all_),
      key_(exec, all_) {
  BASIN_CHECK(points.dim[1] == 2 && all_ <= 1 << 29, "points ", points);
  BASIN_CHECK(!labels.data || labels.dim[0] == all_, "points ", points, ", labels ", labels);
  if (all_ == 0) return;
  assign_keys(points, labels.data);
  sort_by_key<uint64_t>(exec, {key_.data(), {all_}}, {index_.data(), {all_}}, std::bit_width(2 * keys_));
  for_each(exec, all_, Collect<T>{points, index_.data(), x_.data(), y_.data()});
  if (labels.data) {
    GridView<float> all;
    all.n = all_, all.key = key_.data(), all.keys = keys_;
    Temp<int32_t> inside(exec, 1);
    for_each(exec, 1, CountInside{all, inside.data()});
    inside_ = read_back(exec, inside.data());
  }
  if (keys_ > uint64_t(table_limit())) return;
  table_.emplace(exec, int64_t(keys_) + 1);
  for_each(exec, inside_ + 1, FillTable{key_.data(), inside_, keys_, table_->data()});
}

/// Straight from the cells where their bounding box is small, else from cells whose empty rows and columns are left
/// out.
template <class T>
void PointGrid<T>::assign_keys(View<const T, 2> points, const int32_t* labels) {
  const Bounds b = bounds_of(exec_, points);
  const int64_t column = axis_.cell(b.x_min), row = axis_.cell(b.y_min);
  const double columns = double(axis_.cell(b.x_max)) - double(column) + 1,
               rows = double(axis_.cell(b.y_max)) - double(row) + 1;
  const auto store = [&](int64_t columns, int64_t rows) {
    stride_ = uint64_t(columns + 2 * margin);
    keys_ = stride_ * uint64_t(rows + 2 * margin);
    return StoreKey{labels, int64_t(stride_), keys_, key_.data(), index_.data()};
  };
  if ((columns + 2 * margin) * (rows + 2 * margin) <= double(table_limit())) {
    for_each(exec_, all_, KeyByCell<T>{points, axis_, column, row, store(int64_t(columns), int64_t(rows))});
    return;
  }
  Temp<int32_t> x(exec_, all_), y(exec_, all_);
  const int64_t used_columns = leave_out_gaps(points, 0, x.data()), used_rows = leave_out_gaps(points, 1, y.data());
  for_each(exec_, all_, KeyByPosition{x.data(), y.data(), store(used_columns, used_rows)});
}

/// position[i]: that of point i's cell on an axis from which runs of empty cells are cut, but for two. Returns the
/// length.
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
  return {inside_, x_.data(), y_.data(), index_.data(), key_.data(), table_ ? table_->data() : nullptr, stride_, keys_};
}

template Bounds bounds_of<float>(const Exec&, View<const float, 2>);
template Bounds bounds_of<double>(const Exec&, View<const double, 2>);
template class PointGrid<float>;
template class PointGrid<double>;

}  // namespace basin::kernels

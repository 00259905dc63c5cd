#pragma once
#include <cmath>
#include <cstring>
#include <optional>

#include "kernels/cluster/dbscan.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Cuts an axis into cells of equal size, eps / sqrt(2) or at most a millionth less, so that
/// two points in one cell of a square grid are never more than `eps` apart, also as computed in double, and
/// two points at most `eps` apart are never more than 2 cells apart on either axis.
/// The axis is first cut into blocks with a length that is a power of two, of 2^21 to 2^22 cells each, and each block
/// into cells: the error of a cell's edge is then less than 2^-30 of its side everywhere. Where neighbouring doubles
/// are more than `eps` apart, each of them is a cell.
class CellAxis {
 public:
  explicit CellAxis(double eps);
  double side() const { return 1 / scale_; }

  BASIN_HD int64_t cell(double x) const {
    const double block = floor(x * inverse_block_);
    if (!(block > -block_limit && block < block_limit)) return far_cell(x);
    return int64_t(block) * int64_t(per_block_) + int64_t((x - block * block_) * scale_);
  }
  /// The position of x within its cell, 0 to 1, unless cells are single doubles.
  BASIN_HD double offset(double x) const {
    const double cells = (x - floor(x * inverse_block_) * block_) * scale_;
    return cells - floor(cells);
  }
  /// cell(x), if its magnitude is below 2^51: uses only operations that compilers vectorise.
  BASIN_HD double near_cell(double x) const {
    const double blocks = x * inverse_block_, towards_0 = double(int32_t(blocks));
    const double block = towards_0 - (towards_0 > blocks ? 1 : 0);
    return block * per_block_ + double(int32_t((x - block * block_) * scale_));
  }

 private:
  static constexpr double block_limit = 0x1p36;

  /// Beyond 2^36 blocks neighbouring doubles are at least 2^(36 + 21 - 53) = 16 times `eps` apart, so the doubles are
  /// counted.
  BASIN_HD int64_t far_cell(double x) const {
    const int64_t beyond = (int64_t(1) << 59) + (bits_of(fabs(x)) - bits_of(block_limit * block_));
    return x < 0 ? -beyond : beyond;
  }
  static BASIN_HD int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
  }

  double block_, inverse_block_, per_block_, scale_;
};

constexpr int read_ahead = 16;  // elements behind the last slot that may be read and are ignored

/// The view of a PointGrid for functors. Slots number points in the order of their cells, row by row; a cell is
/// identified by the slot of its first point.
template <class T>
struct GridView {
  int n = 0;  // slots; points inside cells come first, and if the host knows their number, n counts only them
  const T *x = nullptr, *y = nullptr;
  const int32_t* index = nullptr;   // the input index of the point at a slot
  const uint32_t* key32 = nullptr;  // row * stride + column of its cell: if there is a table
  const uint64_t* key64 = nullptr;  // if there is no table
  const int32_t* table = nullptr;   // first(key) for key 0 to keys, or null
  uint64_t stride = 0;              // with at least 2 empty columns on either side; 2 rows above and below
  uint64_t keys = 0;                // keys of points inside cells are below this

  /// The first slot with key `k` or a larger one; n if there is none.
  BASIN_HD int first(uint64_t k) const {
    if (table) return table[k];
    int low = 0, high = n;
    while (low < high) {
      const int mid = low + (high - low) / 2;
      if (key(mid) < k)
        low = mid + 1;
      else
        high = mid;
    }
    return low;
  }
  BASIN_HD uint64_t key(int64_t slot) const { return key32 ? key32[slot] : key64[slot]; }
  BASIN_HD bool is_inside(int64_t slot) const { return key(slot) < keys; }
  BASIN_HD bool starts_cell(int64_t slot) const { return slot == 0 || key(slot) != key(slot - 1); }
  /// The slot after the last one of the same cell.
  BASIN_HD int cell_end(int slot) const {
    if (table) return table[key32[slot] + 1];
    const uint64_t k = key64[slot];
    do
      ++slot;
    while (slot < n && key64[slot] == k);
    return slot;
  }

  /// d^2 in double on the given coordinates.
  BASIN_HD double squared_distance(int p, int q) const {
    const double dx = double(x[p]) - double(x[q]), dy = double(y[p]) - double(y[q]);
    return dx * dx + dy * dy;
  }
};

/// Points [N, 2] sorted into the square cells of a grid. Memory is O(N) wherever the points lie: empty rows and columns
/// of a mostly empty grid are left out, and cells are then found by bisection, unless a table of all cells is small.
template <class T>
class PointGrid {
 public:
  /// Throws if a coordinate is NaN or infinite. If `labels` are given, points with a negative label stay outside the
  /// cells: their slots come after n, and their keys are those of the cells they would be in, plus `keys`.
  PointGrid(const Exec&, View<const T, 2> points, double eps, View<const int32_t, 1> labels = {});
  /// The same for the unmasked points only, in a grid that covers their expected box, without a round trip to the host.
  /// fits() must hold for it. view().n counts all points. Masked points come last and have the key `keys`, or 2 `keys`
  /// if there are labels.
  PointGrid(const Exec&, View<const T, 2> points, double eps, const MaskedPoints&, View<const int32_t, 1> labels = {});
  /// Whether a box has so few cells that a table of them is small compared with n points.
  static bool fits(const Bounds& box, double eps, int64_t n);

  GridView<T> view() const;
  double side() const { return axis_.side(); }

 private:
  PointGrid(const Exec&, double eps, int n);
  static bool small(double columns, double rows, int64_t n);
  void set_size(int64_t columns, int64_t rows);
  int64_t leave_out_gaps(View<const T, 2> points, int coordinate, int32_t* position);
  template <class Key>
  void sort(View<const T, 2> points, const int32_t* labels, Key* key);
  template <class Key>
  void sort_by_cell(View<const T, 2> points, Key* key, uint64_t keys);
  void fill_table(int64_t n);

  Exec exec_;
  CellAxis axis_;
  int all_, inside_;
  Temp<T> x_, y_;
  Temp<int32_t> index_;
  std::optional<Temp<uint32_t>> key32_;
  std::optional<Temp<uint64_t>> key64_;
  std::optional<Temp<int32_t>> table_;
  uint64_t stride_ = 0, keys_ = 0;
};

}  // namespace basin::kernels

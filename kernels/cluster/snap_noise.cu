#include "kernels/cluster/snap_noise.h"

#include <algorithm>
#include <utility>

#include "kernels/cluster/bounds.h"
#include "kernels/cluster/neighbours.h"
#include "kernels/cluster/point_grid.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

constexpr int neighbours = 5;

/// The nearest points found so far, nearest first.
struct Nearest {
  int wanted, found = 0;
  double d2[neighbours] = {};
  int32_t index[neighbours] = {};

  BASIN_HD double worst() const { return found < wanted ? HUGE_VAL : d2[found - 1]; }

  BASIN_HD void offer(double candidate_d2, int32_t candidate) {
    int at = found < wanted ? found++ : wanted;
    for (; at > 0; --at) {
      const bool nearer = candidate_d2 < d2[at - 1] || (candidate_d2 == d2[at - 1] && candidate < index[at - 1]);
      if (!nearer) break;
      if (at < wanted) d2[at] = d2[at - 1], index[at] = index[at - 1];
    }
    if (at < wanted) d2[at] = candidate_d2, index[at] = candidate;
  }

  BASIN_HD int32_t most_frequent(const int32_t* labels) const {
    int32_t best = INT32_MAX;
    int most = 0;
    for (int i = 0; i < found; ++i) {
      const int32_t label = labels[index[i]];
      int count = 0;
      for (int j = 0; j < found; ++j)
        count += labels[index[j]] == label;
      if (count > most || (count == most && label < best)) best = label, most = count;
    }
    return best;
  }
};

/// Searches for the nearest points of a noise point: row by row, starting with the point's own row, and in each row
/// starting with its own column, until no nearer point can be found. An empty row costs two look-ups.
template <class T>
struct Snap {
  GridView<T> grid;
  double side;
  int from;                     // the first slot to process
  int64_t row_first, row_last;  // rows outside this range have no points
  int32_t* labels;              // only labels of noise are written, only other labels are read

  /// Does nothing if the slot is inside a cell or belongs to a masked point.
  BASIN_HD void operator()(int64_t i) const {
    const int p = from + int(i), inside = grid.first(grid.keys);
    if (grid.is_inside(p) || grid.key(p) >= 2 * grid.keys || inside == 0) return;
    const int64_t key = int64_t(grid.key(p) - grid.keys), stride = int64_t(grid.stride);
    const int64_t row = key / stride, column = key % stride;
    Nearest nearest{inside < neighbours ? inside : neighbours};
    int64_t away = row < row_first ? row_first - row : row > row_last ? row - row_last : 0;
    for (; at_least(away) <= nearest.worst(); ++away) {
      const int64_t up = row - away, down = row + away;
      if (up < row_first && down > row_last) break;
      if (up >= row_first) search_row(p, up, column, at_least(away), nearest);
      if (away > 0 && down <= row_last) search_row(p, down, column, at_least(away), nearest);
    }
    labels[grid.index[p]] = nearest.most_frequent(labels);
  }

  /// A lower bound of d^2 to any point that many cells away along one axis. Cell edges are not exact, hence the small
  /// factor.
  BASIN_HD double at_least(int64_t cells) const {
    const double d = cells > 1 ? double(cells - 1) * side * (1 - 1e-6) : 0;
    return d * d;
  }

  BASIN_HD void search_row(int p, int64_t row, int64_t column, double row_d2, Nearest& nearest) const {
    const uint64_t row_key = uint64_t(row) * grid.stride;
    const int begin = grid.first(row_key), end = grid.first(row_key + grid.stride);
    if (begin == end) return;
    const int middle = grid.first(row_key + uint64_t(column));
    for (int q = middle; q < end; ++q) {
      if (row_d2 + at_least(int64_t(grid.key(q) - row_key) - column) > nearest.worst()) break;
      nearest.offer(grid.squared_distance(p, q), grid.index[q]);
    }
    for (int q = middle - 1; q >= begin; --q) {
      if (row_d2 + at_least(column - int64_t(grid.key(q) - row_key)) > nearest.worst()) break;
      nearest.offer(grid.squared_distance(p, q), grid.index[q]);
    }
  }
};

/// Applies Omnipose's rule to the point at a slot; `snapped` is indexed like the input.
template <class T>
struct SnapWithin {
  GridView<T> grid;
  double eps2;
  const int32_t* labels;
  int32_t* snapped;

  BASIN_HD void operator()(int64_t slot) const {
    const int p = int(slot);
    const int32_t own = grid.index[p];
    snapped[own] = labels[own];
    if (labels[own] >= 0 || !grid.is_inside(p)) return;
    Nearest nearest{neighbours};
    for (int r = -2; r <= 2; ++r) {
      const Range near = row_near(grid, grid.key(p), r);
      for (int q = near.begin; q < near.end; ++q)
        if (const double d2 = grid.squared_distance(p, q); q != p && d2 < eps2) nearest.offer(d2, grid.index[q]);
    }
    for (int i = nearest.found - 1; i >= 0; --i)
      if (labels[nearest.index[i]] >= 0) snapped[own] = labels[nearest.index[i]];
  }
};

struct CopyLabels {
  const int32_t* from;
  int32_t* to;

  BASIN_HD void operator()(int64_t i) const { to[i] = from[i]; }
};

/// For a grid with cells for eps.
template <class T>
void snap_within(const Exec& exec, const PointGrid<T>& sorted, double eps, View<int32_t, 1> labels) {
  const Temp<int32_t> snapped(exec, labels.dim[0]);
  for_each(exec, labels.dim[0], SnapWithin<T>{sorted.view(), eps * eps, labels.data, snapped.data()});
  for_each(exec, labels.dim[0], CopyLabels{snapped.data(), labels.data});
}

template <class T>
struct MarkCells {
  GridView<T> grid;
  int32_t* mark;

  BASIN_HD void operator()(int64_t p) const { mark[p] = grid.starts_cell(p); }
};

template <class T>
int64_t occupied_cells(const Exec& exec, const GridView<T>& grid) {
  Temp<int32_t> mark(exec, grid.n);
  for_each(exec, grid.n, MarkCells<T>{grid, mark.data()});
  return exclusive_sum(exec, {mark.data(), {grid.n}});
}

template <class T>
void snap_to_majority(const Exec& exec, View<const T, 2> points, View<int32_t, 1> labels) {
  const Bounds b = bounds_of(exec, points);
  const double width = b.x_max / 2 - b.x_min / 2, height = b.y_max / 2 - b.y_min / 2;
  // The first size gives cells with a few points each if points are spread evenly. Otherwise cells are made smaller
  // until they have few points.
  double eps = 4 * std::max(std::sqrt(width) * std::sqrt(height), std::max(width, height) / points.dim[0]);
  eps /= std::sqrt(double(points.dim[0]));
  std::optional<PointGrid<T>> sorted;
  for (int tries = 8; tries > 0; --tries) {
    sorted.emplace(exec, points, std::clamp(eps, 1e-150, 1e150), labels);
    const GridView<T> grid = sorted->view();
    if (grid.n == 0 || grid.n == points.dim[0]) return;
    const int64_t cells = occupied_cells(exec, grid);
    if (grid.n <= 32 * cells) break;
    eps *= std::sqrt(2.0 * double(cells) / grid.n);
  }
  const GridView<T> grid = sorted->view();
  const auto row_at = [&](int slot) {
    const uint64_t key = grid.key32 ? read_back(exec, grid.key32 + slot) : read_back(exec, grid.key64 + slot);
    return int64_t(key / grid.stride);
  };
  const Snap<T> snap{grid, sorted->side(), grid.n, row_at(0), row_at(grid.n - 1), labels.data};
  for_each(exec, points.dim[0] - grid.n, snap);
}

}  // namespace

template <class T>
void snap_noise(const Exec& exec, View<const T, 2> points, NoiseRule rule, double eps, View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  if (points.dim[0] == 0 || rule == NoiseRule::none) return;
  rule == NoiseRule::majority ? snap_to_majority(exec, points, labels)
                              : snap_within(exec, PointGrid<T>(exec, points, eps), eps, labels);
}

template <class T>
void snap_noise(const Exec& exec, View<const T, 2> points, const MaskedPoints& some, NoiseRule rule, double eps,
                View<int32_t, 1> labels) {
  BASIN_CHECK(points.dim[1] == 2 && labels.dim[0] == points.dim[0], "points ", points, ", labels ", labels);
  if (rule == NoiseRule::none) return;
  if (rule == NoiseRule::omnipose) return snap_within(exec, PointGrid<T>(exec, points, eps, some), eps, labels);
  const PointGrid<T> sorted(exec, points, eps, some, labels);
  const GridView<T> grid = sorted.view();
  const int64_t last_row = int64_t(grid.keys / grid.stride) - 1;
  for_each(exec, points.dim[0], Snap<T>{grid, sorted.side(), 0, 0, last_row, labels.data});
}

NoiseRule parse_noise_rule(const std::string& text) { return value_in(noise_rules, "--snap-noise", text); }
std::string to_string(NoiseRule rule) { return name_in(noise_rules, rule); }

template void snap_noise<float>(const Exec&, View<const float, 2>, NoiseRule, double, View<int32_t, 1>);
template void snap_noise<double>(const Exec&, View<const double, 2>, NoiseRule, double, View<int32_t, 1>);
template void snap_noise<float>(const Exec&, View<const float, 2>, const MaskedPoints&, NoiseRule, double,
                                View<int32_t, 1>);
template void snap_noise<double>(const Exec&, View<const double, 2>, const MaskedPoints&, NoiseRule, double,
                                 View<int32_t, 1>);

}  // namespace basin::kernels

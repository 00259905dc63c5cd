#include "data/metrics/assignment.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <utility>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// Minimises the sum of -weight. A row may also stay unmatched at cost 0, as if it had a column of its own. The duals
/// keep -weight - row_dual - column_dual >= 0, with equality on matched edges.
class Assignment {
 public:
  Assignment(int rows, int columns, std::span<const Edge> edges)
      : edges_(edges),
        begin_(size_t(rows) + 1, 0),
        column_of_(size_t(rows), -1),
        row_of_(size_t(columns), -1),
        parent_(size_t(columns), -1),
        row_dual_(size_t(rows), 0),
        column_dual_(size_t(columns), 0),
        distance_(size_t(columns), infinity),
        settled_(size_t(columns), false) {
    for (size_t e = 0; e < edges.size(); ++e) {
      const Edge& edge = edges[e];
      BASIN_CHECK(edge.row >= 0 && edge.row < rows && edge.column >= 0 && edge.column < columns, "edge ", edge.row,
                  ", ", edge.column, " in a graph of ", rows, " and ", columns);
      BASIN_CHECK(e == 0 || edges[e - 1].row <= edge.row, "row ", edge.row, " after ", edges[e - 1].row);
      BASIN_CHECK(std::isfinite(edge.weight) && edge.weight >= 0, "weight ", edge.weight);
      ++begin_[size_t(edge.row) + 1];
    }
    for (size_t r = 1; r < begin_.size(); ++r)
      begin_[r] += begin_[r - 1];
    for (int r = 0; r < rows; ++r)
      add(r);
  }

  const std::vector<int32_t>& column_of() const { return column_of_; }

 private:
  using Entry = std::pair<double, int32_t>;  // distance, column

  /// Adds a row by the shortest augmenting path, which ends in a free column, or in a row that becomes unmatched.
  void add(int32_t root) {
    double length = infinity;  // of the best path that leaves a row unmatched
    int32_t last_row = -1, end = -1;
    double base = 0;
    for (int32_t row = root;;) {
      if (base - row_dual_[size_t(row)] < length) {
        length = base - row_dual_[size_t(row)];
        last_row = row;
      }
      reach_from(row, base);
      const int32_t column = nearest();
      if (column < 0 || distance_[size_t(column)] >= length) break;
      if (row_of_[size_t(column)] < 0) {
        length = distance_[size_t(column)];
        end = column;
        break;
      }
      settled_[size_t(column)] = true;
      settled_columns_.push_back(column);
      row = row_of_[size_t(column)];
      base = distance_[size_t(column)];
    }

    row_dual_[size_t(root)] += length;
    for (const int32_t column : settled_columns_) {
      const double slack = length - distance_[size_t(column)];
      row_dual_[size_t(row_of_[size_t(column)])] += slack;
      column_dual_[size_t(column)] -= slack;
    }
    if (end < 0) end = std::exchange(column_of_[size_t(last_row)], -1);
    while (end >= 0) {
      const int32_t row = parent_[size_t(end)];
      row_of_[size_t(end)] = row;
      std::swap(column_of_[size_t(row)], end);
    }
    forget();
  }

  void reach_from(int32_t row, double base) {
    for (size_t e = begin_[size_t(row)]; e < begin_[size_t(row) + 1]; ++e) {
      const size_t column = size_t(edges_[e].column);
      const double d = base - edges_[e].weight - row_dual_[size_t(row)] - column_dual_[column];
      if (settled_[column] || d >= distance_[column]) continue;
      if (distance_[column] == infinity) reached_.push_back(int32_t(column));
      distance_[column] = d;
      parent_[column] = row;
      heap_.emplace_back(d, int32_t(column));
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
  }

  /// The nearest column that is reached but not settled; -1 if there is none. Ties: the lowest column.
  int32_t nearest() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      const int32_t column = heap_.back().second;
      heap_.pop_back();
      if (!settled_[size_t(column)]) return column;
    }
    return -1;
  }

  void forget() {
    for (const int32_t column : reached_) {
      distance_[size_t(column)] = infinity;
      settled_[size_t(column)] = false;
    }
    reached_.clear();
    settled_columns_.clear();
    heap_.clear();
  }

  std::span<const Edge> edges_;
  std::vector<size_t> begin_;  // [rows + 1]: first edge of each row
  std::vector<int32_t> column_of_, row_of_, parent_;
  std::vector<double> row_dual_, column_dual_, distance_;
  std::vector<bool> settled_;
  std::vector<int32_t> settled_columns_, reached_;
  std::vector<Entry> heap_;
};

template <class Weight>
std::vector<Match> best_match(const Overlap& table, double threshold, Weight weight) {
  std::vector<Edge> edges;
  edges.reserve(table.pairs.size());
  for (const Overlap::Pair& pair : table.pairs)
    edges.push_back({pair.truth - 1, pair.prediction - 1, weight(pair.iou)});
  const std::vector<int32_t> column_of = assign(table.truth_count(), table.prediction_count(), edges);
  std::vector<Match> matches;
  for (const Overlap::Pair& pair : table.pairs)
    if (pair.iou >= threshold && column_of[size_t(pair.truth) - 1] == pair.prediction - 1)
      matches.push_back({pair.truth, pair.prediction, pair.iou});
  return matches;
}

}  // namespace

std::vector<int32_t> assign(int rows, int columns, std::span<const Edge> edges) {
  BASIN_CHECK(rows >= 0 && columns >= 0, rows, " rows, ", columns, " columns");
  return Assignment(rows, columns, edges).column_of();
}

std::vector<Match> match(const Overlap& table, double threshold) {
  const double share = 0.5 / std::max(1, std::min(table.truth_count(), table.prediction_count()));
  return best_match(table, threshold, [=](double iou) { return (iou >= threshold ? 1.0 : 0.0) + iou * share; });
}

std::vector<Match> match_total_iou(const Overlap& table) {
  return best_match(table, 0, [](double iou) { return iou; });
}

}  // namespace basin

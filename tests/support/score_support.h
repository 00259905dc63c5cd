#pragma once
// Small label images, and slow reference implementations of scores.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "data/metrics/metrics.h"

namespace basin::test {

struct Rectangle {
  int y0, y1, x0, x1;  // half open
};

/// Objects 1, 2, ... as boxes; later ones cover earlier ones, which must stay partly visible.
inline Labels boxes(int height, int width, const std::vector<Rectangle>& all) {
  Labels labels{height, width, int(all.size()), std::vector<int32_t>(size_t(height) * size_t(width), 0)};
  for (size_t k = 0; k < all.size(); ++k)
    for (int y = all[k].y0; y < all[k].y1; ++y)
      for (int x = all[k].x0; x < all[k].x1; ++x)
        labels.ids[size_t(y) * size_t(width) + size_t(x)] = int32_t(k) + 1;
  return labels;
}

/// Renumbers ids to 1..count, preserving their order.
inline Labels renumber(int height, int width, const std::vector<int32_t>& ids) {
  std::vector<int32_t> used = ids;
  std::sort(used.begin(), used.end());
  used.erase(std::unique(used.begin(), used.end()), used.end());
  used.erase(std::remove(used.begin(), used.end(), 0), used.end());
  Labels labels{height, width, int(used.size()), ids};
  for (int32_t& id : labels.ids)
    if (id) id = int32_t(std::lower_bound(used.begin(), used.end(), id) - used.begin()) + 1;
  return labels;
}

/// Blocks of random sizes on a grid, some missing, some cut in half. Areas are small, so that an IoU often equals a
/// threshold.
inline Labels random_blocks(int height, int width, int cell, double keep, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> ids(size_t(height) * size_t(width), 0);
  int32_t next = 1;
  for (int y0 = 0; y0 < height; y0 += cell)
    for (int x0 = 0; x0 < width; x0 += cell, next += 2) {
      if (std::uniform_real_distribution<>(0, 1)(rng) > keep) continue;
      std::uniform_int_distribution<> inset(-1, 1);
      const int y1 = std::min(height, y0 + cell + inset(rng)), x1 = std::min(width, x0 + cell + inset(rng));
      const int begin_y = std::max(0, y0 + inset(rng)), begin_x = std::max(0, x0 + inset(rng));
      const bool cut = rng() % 4 == 0;
      for (int y = begin_y; y < y1; ++y)
        for (int x = begin_x; x < x1; ++x)
          ids[size_t(y) * size_t(width) + size_t(x)] = next + (cut && 2 * x >= begin_x + x1);
    }
  return renumber(height, width, ids);
}

/// The overlap O[i][j] in pixels, by counting, including the background.
inline std::vector<std::vector<int64_t>> dense_overlap(const Labels& truth, const Labels& prediction) {
  std::vector<std::vector<int64_t>> table(size_t(truth.count) + 1,
                                          std::vector<int64_t>(size_t(prediction.count) + 1, 0));
  for (size_t p = 0; p < truth.ids.size(); ++p)
    ++table[size_t(truth.ids[p])][size_t(prediction.ids[p])];
  return table;
}

/// Hungarian algorithm on a dense cost matrix, rows <= columns, O(rows^2 columns). Returns the column of each row.
inline std::vector<int> dense_assignment(const std::vector<std::vector<double>>& cost) {
  const size_t n = cost.size(), m = n ? cost[0].size() : 0;
  const double inf = std::numeric_limits<double>::infinity();
  std::vector<double> u(n + 1, 0), v(m + 1, 0);
  std::vector<size_t> row(m + 1, 0), way(m + 1, 0);
  for (size_t i = 1; i <= n; ++i) {
    row[0] = i;
    size_t j0 = 0;
    std::vector<double> least(m + 1, inf);
    std::vector<bool> used(m + 1, false);
    do {
      used[j0] = true;
      double delta = inf;
      size_t j1 = 0;
      for (size_t j = 1; j <= m; ++j) {
        if (used[j]) continue;
        const double reduced = cost[row[j0] - 1][j - 1] - u[row[j0]] - v[j];
        if (reduced < least[j]) {
          least[j] = reduced;
          way[j] = j0;
        }
        if (least[j] < delta) {
          delta = least[j];
          j1 = j;
        }
      }
      for (size_t j = 0; j <= m; ++j)
        if (used[j]) {
          u[row[j]] += delta;
          v[j] -= delta;
        } else {
          least[j] -= delta;
        }
      j0 = j1;
    } while (row[j0] != 0);
    for (; j0 != 0; j0 = way[j0])
      row[j0] = row[way[j0]];
  }
  std::vector<int> column(n, -1);
  for (size_t j = 1; j <= m; ++j)
    if (row[j]) column[row[j] - 1] = int(j) - 1;
  return column;
}

// The images whose scores are known from the peers' own code.
inline const Labels true_a = boxes(24, 24, {{1, 9, 1, 9}, {1, 9, 12, 20}, {14, 22, 3, 19}});
inline const Labels predicted_a = boxes(24, 24, {{2, 10, 1, 9}, {1, 9, 13, 19}, {14, 22, 3, 12}, {14, 22, 12, 19}});
inline const Labels square = boxes(24, 24, {{4, 20, 4, 20}});
inline const Labels true_d = boxes(24, 24, {{1, 9, 1, 9}, {12, 20, 12, 20}});
inline const Labels nothing = boxes(24, 24, {});

inline const Metric& named(const std::vector<Metric>& all, const std::string& key) {
  for (const Metric& m : all)
    if (m.key == key) return m;
  FAIL("no metric ", key);
  return all[0];
}

inline double value(const std::string& key, const ImageScore& s, Dialect dialect = Dialect::stardist) {
  const std::vector<Metric> all = metrics(dialect, {.confidences = true});
  const std::optional<double> v = named(all, key).value(s);
  return v ? *v : std::nan("");
}

inline double value(const std::string& key, Aggregation how, const std::vector<ImageScore>& images, Dialect dialect) {
  const std::vector<Metric> all = metrics(dialect);
  const std::optional<double> v = aggregate(named(all, key), how, images);
  return v ? *v : std::nan("");
}

inline doctest::Approx near(double x) { return doctest::Approx(x).epsilon(1e-9); }
inline doctest::Approx to_four_digits(double x) { return doctest::Approx(x).epsilon(0).scale(1).epsilon(6e-5); }

}  // namespace basin::test

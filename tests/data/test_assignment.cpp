#include <map>
#include <set>

#include "data/metrics/assignment.h"
#include "kernels/runtime/platform.h"
#include "tests/support/score_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

double total(const std::vector<Edge>& edges, const std::vector<int32_t>& column_of) {
  double sum = 0;
  for (const Edge& e : edges)
    if (column_of[size_t(e.row)] == e.column) sum += e.weight;
  return sum;
}

/// Checks that each column is used at most once, and only along edges.
bool is_matching(const std::vector<Edge>& edges, const std::vector<int32_t>& column_of) {
  std::set<std::pair<int, int>> present;
  for (const Edge& e : edges)
    present.insert({e.row, e.column});
  std::set<int> used;
  for (size_t r = 0; r < column_of.size(); ++r)
    if (column_of[r] >= 0 && (!present.count({int(r), column_of[r]}) || !used.insert(column_of[r]).second))
      return false;
  return true;
}

double dense_total(int rows, int columns, const std::vector<Edge>& edges) {
  const bool flip = rows > columns;
  std::vector<std::vector<double>> cost(size_t(flip ? columns : rows),
                                        std::vector<double>(size_t(flip ? rows : columns), 0));
  for (const Edge& e : edges)
    cost[size_t(flip ? e.column : e.row)][size_t(flip ? e.row : e.column)] = -e.weight;
  const std::vector<int> column = dense_assignment(cost);
  double sum = 0;
  for (size_t r = 0; r < column.size(); ++r)
    sum -= cost[r][size_t(column[r])];
  return sum;
}

}  // namespace

TEST_CASE("assignment: matchings of small graphs by hand") {
  CHECK(assign(0, 0, {}).empty());
  CHECK(assign(2, 3, {}) == std::vector<int32_t>{-1, -1});
  // Both rows prefer the first column; the total is largest if row 1 gets it.
  const std::vector<Edge> shared = {{0, 0, 5}, {0, 1, 4}, {1, 0, 4}, {1, 1, 1}};
  CHECK(assign(2, 2, shared) == std::vector<int32_t>{1, 0});
  // Row 1 takes the only column of row 0, which stays unmatched.
  const std::vector<Edge> eviction = {{0, 0, 1}, {1, 0, 3}};
  CHECK(assign(2, 1, eviction) == std::vector<int32_t>{-1, 0});
  // An augmenting path over three columns: each row has to change its column.
  const std::vector<Edge> chain = {{0, 0, 3}, {0, 1, 2}, {1, 1, 3}, {1, 2, 2}, {2, 0, 3}};
  CHECK(assign(3, 3, chain) == std::vector<int32_t>{1, 2, 0});
  // A heavy edge outweighs two light ones.
  const std::vector<Edge> heavy = {{0, 0, 1}, {1, 0, 5}, {1, 1, 1}};
  CHECK(assign(2, 2, heavy) == std::vector<int32_t>{-1, 0});
}

TEST_CASE("assignment: the total weight equals the dense Hungarian algorithm's") {
  std::mt19937 rng(3);
  for (int round = 0; round < 300; ++round) {
    const int rows = int(rng() % 12), columns = int(rng() % 12);
    const unsigned density = 1 + rng() % 10;
    const bool ties = rng() % 2;
    std::vector<Edge> edges;
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        if (rng() % 10 < density)
          edges.push_back({r, c, ties ? double(rng() % 4) : std::uniform_real_distribution<>(0, 1)(rng)});
    const std::vector<int32_t> got = assign(rows, columns, edges);
    REQUIRE(got.size() == size_t(rows));
    CHECK(is_matching(edges, got));
    CHECK(total(edges, got) == doctest::Approx(dense_total(rows, columns, edges)).epsilon(1e-12));
  }
}

TEST_CASE("assignment: a connected component of 20,000 objects is matched optimally") {
  const int n = 20000;
  std::vector<Edge> edges;  // a ladder: every object overlaps its neighbours
  for (int r = 0; r < n; ++r) {
    if (r > 0) edges.push_back({r, r - 1, 0.4});
    edges.push_back({r, r, 0.3 + 0.2 * (r % 3)});
    if (r + 1 < n) edges.push_back({r, r + 1, 0.45});
  }
  const std::vector<int32_t> got = assign(n, n, edges);
  CHECK(is_matching(edges, got));
  // The same ladder by dynamic programming over rows; the state is which of the columns r and r + 1 are taken.
  std::map<int, double> best = {{0, 0}};
  for (int r = 0; r < n; ++r) {
    std::map<int, double> next;            // bit 0: column r taken, bit 1: column r + 1 taken, before the shift
    for (const auto& [state, sum] : best)  // bit 0: column r - 1, bit 1: column r, by the rows before
      for (int choice = -2; choice <= 1; ++choice) {
        double w = 0;
        int taken = state;
        if (choice >= -1) {
          const int column = r + choice, bit = choice + 1;
          if (column < 0 || column >= n || (taken >> bit & 1)) continue;
          w = choice == -1 ? 0.4 : choice == 0 ? 0.3 + 0.2 * (r % 3) : 0.45;
          taken |= 1 << bit;
        }
        double& slot = next[taken >> 1];
        slot = std::max(slot, sum + w);
      }
    best = next;
  }
  double want = 0;
  for (const auto& [state, sum] : best)
    want = std::max(want, sum);
  CHECK(total(edges, got) == doctest::Approx(want).epsilon(1e-9));
}

TEST_CASE("assignment: invalid graphs are refused") {
  const std::vector<Edge> outside = {{0, 2, 1}}, unordered = {{1, 0, 1}, {0, 0, 1}}, negative = {{0, 0, -1}},
                          nan = {{0, 0, std::nan("")}};
  for (const auto& edges : {outside, unordered, negative, nan})
    CHECK_THROWS_AS(assign(2, 2, edges), Error);
}

TEST_CASE("assignment: matching label images equals matching by a dense cost matrix at every threshold") {
  int ties = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const Labels truth = random_blocks(24, 30, 4, 0.9, seed), prediction = random_blocks(24, 30, 4, 0.9, seed + 1000);
    const Overlap table = overlap(truth, prediction);
    const auto dense = dense_overlap(truth, prediction);
    const bool flip = truth.count > prediction.count;
    const size_t rows = size_t(std::min(truth.count, prediction.count));
    const size_t columns = size_t(std::max(truth.count, prediction.count));
    std::vector<std::vector<double>> iou(rows, std::vector<double>(columns));
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < columns; ++c) {
        const size_t i = (flip ? c : r) + 1, j = (flip ? r : c) + 1;
        const double both = double(dense[i][j]);
        iou[r][c] = both / (double(table.truth_area[i] + table.prediction_area[j]) - both);
        ties += iou[r][c] == 0.5;
      }
    for (const double t : {0.1, 0.25, 1 / 3.0, 0.5, 0.55, 0.6, 0.75, 0.8, 0.9, 1.0}) {
      std::vector<std::vector<double>> cost = iou;
      for (auto& row : cost)
        for (double& c : row)
          c = -(c >= t) - c / (2 * double(rows));
      const std::vector<int> column = dense_assignment(cost);
      int64_t count = 0;
      double sum = 0, matched_sum = 0;
      for (size_t r = 0; r < rows; ++r)
        if (const double x = iou[r][size_t(column[r])]; x >= t) {
          ++count;
          sum += x;
        }
      const std::vector<Match> got = match(table, t);
      for (const Match& m : got) {
        CHECK(m.iou >= t);
        matched_sum += m.iou;
      }
      CAPTURE(seed);
      CAPTURE(t);
      CHECK(int64_t(got.size()) == count);
      CHECK(matched_sum == doctest::Approx(sum).epsilon(1e-9));
    }
  }
  CHECK(ties > 50);  // an IoU of exactly one half, where a match need not be unique
}

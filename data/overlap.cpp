#include "data/overlap.h"

#include <algorithm>

#include "kernels/platform.h"

namespace basin {
namespace {

/// Neighbouring pixels of one true and one predicted object.
struct Run {
  int32_t truth, prediction;
  int64_t length;
};

/// Runs ordered by true object; within one they keep the order of the image.
std::vector<Run> by_truth(const std::vector<Run>& runs, int truth_count) {
  std::vector<size_t> next(size_t(truth_count) + 2, 0);
  for (const Run& run : runs)
    ++next[size_t(run.truth) + 1];
  for (size_t i = 1; i < next.size(); ++i)
    next[i] += next[i - 1];
  std::vector<Run> sorted(runs.size());
  for (const Run& run : runs)
    sorted[next[size_t(run.truth)]++] = run;
  return sorted;
}

}  // namespace

Overlap overlap(const Labels& truth, const Labels& prediction) {
  BASIN_CHECK(truth.height == prediction.height && truth.width == prediction.width, truth.width, " x ", truth.height,
              " against ", prediction.width, " x ", prediction.height);
  const size_t pixels = size_t(truth.height) * size_t(truth.width);
  BASIN_CHECK(truth.ids.size() == pixels && prediction.ids.size() == pixels, "sizes ", truth.ids.size(), " and ",
              prediction.ids.size());
  Overlap table;
  table.truth_area.assign(size_t(truth.count) + 1, 0);
  table.prediction_area.assign(size_t(prediction.count) + 1, 0);

  std::vector<Run> runs;
  for (size_t p = 0; p < pixels;) {
    const int32_t i = truth.ids[p], j = prediction.ids[p];
    BASIN_CHECK(i >= 0 && i <= truth.count && j >= 0 && j <= prediction.count, "ids ", i, " and ", j);
    const size_t begin = p;
    while (p < pixels && truth.ids[p] == i && prediction.ids[p] == j)
      ++p;
    const int64_t length = int64_t(p - begin);
    table.truth_area[size_t(i)] += length;
    table.prediction_area[size_t(j)] += length;
    if (i > 0 && j > 0) runs.push_back({i, j, length});
  }

  std::vector<int64_t> shared(table.prediction_area.size(), 0);  // with the true object at hand
  std::vector<int32_t> touched;
  const std::vector<Run> sorted = by_truth(runs, truth.count);
  for (auto run = sorted.begin(); run != sorted.end();) {
    const int32_t i = run->truth;
    for (; run != sorted.end() && run->truth == i; ++run) {
      if (shared[size_t(run->prediction)] == 0) touched.push_back(run->prediction);
      shared[size_t(run->prediction)] += run->length;
    }
    std::sort(touched.begin(), touched.end());
    for (const int32_t j : touched) {
      const int64_t both = shared[size_t(j)];
      const int64_t either = table.truth_area[size_t(i)] + table.prediction_area[size_t(j)] - both;
      table.pairs.push_back({i, j, both, double(both) / double(either)});
      shared[size_t(j)] = 0;
    }
    touched.clear();
  }
  return table;
}

}  // namespace basin

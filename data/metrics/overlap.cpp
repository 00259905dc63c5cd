#include "data/metrics/overlap.h"

#include <algorithm>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// A run of neighbouring pixels with the same true and predicted object.
struct Run {
  int32_t truth, prediction;
  int64_t length;
};

/// Runs ordered by true object, otherwise in the order of the image.
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

/// The number of pixels that a true object shares with each predicted one: add() all runs of one object, then flush()
/// it.
class Row {
 public:
  explicit Row(Overlap& table) : table_(table), shared_(table.prediction_area.size(), 0) {}

  void add(int32_t prediction, int64_t pixels) {
    if (shared_[size_t(prediction)] == 0) touched_.push_back(prediction);
    shared_[size_t(prediction)] += pixels;
  }
  void flush(int32_t truth) {
    std::sort(touched_.begin(), touched_.end());
    for (const int32_t j : touched_) {
      const int64_t both = shared_[size_t(j)];
      const int64_t either = table_.truth_area[size_t(truth)] + table_.prediction_area[size_t(j)] - both;
      table_.pairs.push_back({truth, j, both, double(both) / double(either)});
      shared_[size_t(j)] = 0;
    }
    touched_.clear();
  }

 private:
  Overlap& table_;
  std::vector<int64_t> shared_;  // by predicted object
  std::vector<int32_t> touched_;
};

size_t checked_pixels(int height, int width, const Labels& prediction) {
  BASIN_CHECK(height == prediction.height && width == prediction.width, width, " x ", height, " against ",
              prediction.width, " x ", prediction.height);
  const size_t pixels = size_t(height) * size_t(width);
  BASIN_CHECK(prediction.ids.size() == pixels, "sizes ", pixels, " and ", prediction.ids.size());
  return pixels;
}

Overlap empty_table(int truths, int predictions) {
  Overlap table;
  table.truth_area.assign(size_t(truths) + 1, 0);
  table.prediction_area.assign(size_t(predictions) + 1, 0);
  table.truth_box.resize(table.truth_area.size());
  table.prediction_box.resize(table.prediction_area.size());
  return table;
}

/// The pixels of all objects, as one object; of none if there are none.
Labels foreground(const Planes& planes) {
  Labels any{planes.height, planes.width, 0, std::vector<int32_t>(size_t(planes.height) * size_t(planes.width), 0)};
  for (const auto& object : planes.objects)
    for (const Planes::Run& run : object) {
      std::fill(any.ids.begin() + ptrdiff_t(run.begin), any.ids.begin() + ptrdiff_t(run.end), 1);
      any.count = 1;
    }
  return any;
}

bool share_rows_and_columns(const Box& a, const Box& b) {
  return a.left <= b.right && b.left <= a.right && a.top <= b.bottom && b.top <= a.bottom;
}

/// The number of pixels in both of two sorted lists of runs.
int64_t common_pixels(const std::vector<Planes::Run>& a, const std::vector<Planes::Run>& b) {
  int64_t pixels = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end(); i->end < j->end ? ++i : ++j)
    pixels += std::max<int64_t>(0, std::min(i->end, j->end) - std::max(i->begin, j->begin));
  return pixels;
}

}  // namespace

Overlap overlap(const Labels& truth, const Labels& prediction) {
  const size_t pixels = checked_pixels(truth.height, truth.width, prediction);
  BASIN_CHECK(truth.ids.size() == pixels, "sizes ", truth.ids.size(), " and ", pixels);
  Overlap table = empty_table(truth.count, prediction.count);

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
    if (i > 0) table.truth_box[size_t(i)].add(int64_t(begin), int64_t(p), truth.width);
    if (j > 0) table.prediction_box[size_t(j)].add(int64_t(begin), int64_t(p), truth.width);
    if (i > 0) table.truth_pixels += length;
    if (j > 0) table.prediction_pixels += length;
    if (i > 0 && j > 0) {
      table.common_pixels += length;
      runs.push_back({i, j, length});
    }
  }

  Row row(table);
  const std::vector<Run> sorted = by_truth(runs, truth.count);
  for (auto run = sorted.begin(); run != sorted.end();) {
    const int32_t i = run->truth;
    for (; run != sorted.end() && run->truth == i; ++run)
      row.add(run->prediction, run->length);
    row.flush(i);
  }
  return table;
}

Overlap overlap(const Planes& truth, const Labels& prediction) {
  // The areas and boxes of the predicted objects, and the pixels that they share with any true object.
  const Overlap whole = overlap(foreground(truth), prediction);

  Overlap table = empty_table(int(truth.objects.size()), prediction.count);
  table.prediction_area = whole.prediction_area;
  table.prediction_box = whole.prediction_box;
  table.truth_pixels = whole.truth_pixels;
  table.prediction_pixels = whole.prediction_pixels;
  table.common_pixels = whole.common_pixels;
  table.truth_area[0] = whole.truth_area[0];
  table.from_planes = true;
  Row row(table);
  for (size_t k = 0; k < truth.objects.size(); ++k) {
    for (const Planes::Run& run : truth.objects[k]) {
      table.truth_area[k + 1] += run.end - run.begin;
      table.truth_box[k + 1].add(run.begin, run.end, truth.width);
      for (int64_t p = run.begin; p < run.end; ++p)
        if (const int32_t j = prediction.ids[size_t(p)]) row.add(j, 1);
    }
    row.flush(int32_t(k) + 1);
  }
  return table;
}

Overlap overlap(const Labels& truth, const Planes& prediction) {
  Overlap table = overlap(prediction, truth);  // with the roles exchanged
  std::swap(table.truth_area, table.prediction_area);
  std::swap(table.truth_box, table.prediction_box);
  std::swap(table.truth_pixels, table.prediction_pixels);
  for (Overlap::Pair& pair : table.pairs)
    std::swap(pair.truth, pair.prediction);
  std::stable_sort(table.pairs.begin(), table.pairs.end(),
                   [](const Overlap::Pair& a, const Overlap::Pair& b) { return a.truth < b.truth; });
  table.from_planes = false;
  return table;
}

Overlap overlap(const Planes& truth, const Planes& prediction) {
  // The areas and boxes of either side come from a comparison with the pixels of the other.
  const Overlap of_truth = overlap(truth, foreground(prediction));
  Overlap table = overlap(foreground(truth), prediction);
  table.truth_area = of_truth.truth_area;
  table.truth_box = of_truth.truth_box;
  table.pairs.clear();
  Row row(table);
  for (size_t i = 0; i < truth.objects.size(); ++i) {
    for (size_t j = 0; j < prediction.objects.size(); ++j)
      if (share_rows_and_columns(table.truth_box[i + 1], table.prediction_box[j + 1]))
        if (const int64_t pixels = common_pixels(truth.objects[i], prediction.objects[j]))
          row.add(int32_t(j) + 1, pixels);
    row.flush(int32_t(i) + 1);
  }
  return table;
}

}  // namespace basin

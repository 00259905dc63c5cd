#include "data/metrics/label_statistics.h"

#include <algorithm>
#include <cmath>

#include "data/files/labels.h"
#include "kernels/runtime/platform.h"

namespace basin {

LabelStatistics label_statistics(const std::vector<double>& values, int64_t height, int64_t width) {
  BASIN_CHECK(int64_t(values.size()) == height * width, values.size(), " values of ", height, " rows");
  LabelStatistics s;
  for (double v : values)
    if (!(v >= 0 && v <= 0x1p53 && v == std::floor(v))) return s;

  const LabelEvidence e = evidence(compact(int(height), int(width), {values.begin(), values.end()}));
  s.looks_like_labels = e.pairs > 0 && 5 * e.equal >= 4 * e.pairs && !e.photograph && !e.interpolated;

  std::vector<double> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    const auto end = std::upper_bound(begin, sorted.end(), *begin);
    (*begin == 0 ? s.background : s.areas.emplace_back()) = end - begin;
    begin = end;
  }
  std::sort(s.areas.begin(), s.areas.end());
  if (!s.areas.empty()) s.largest_label = int64_t(sorted.back());
  return s;
}

}  // namespace basin

#include "data/metrics/label_statistics.h"

#include <algorithm>
#include <cmath>

#include "kernels/runtime/platform.h"

namespace basin {

LabelStatistics label_statistics(const std::vector<double>& values, int64_t height, int64_t width) {
  BASIN_CHECK(int64_t(values.size()) == height * width, values.size(), " values of ", height, " rows");
  LabelStatistics s;
  for (double v : values)
    if (!(v >= 0 && v <= 0x1p53 && v == std::floor(v))) return s;

  int64_t neighbours = 0, equal = 0;
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      const double* here = &values[size_t(y * width + x)];
      if (*here == 0) continue;
      for (const double* next : {x + 1 < width ? here + 1 : nullptr, y + 1 < height ? here + width : nullptr}) {
        if (!next || *next == 0) continue;
        ++neighbours;
        equal += *next == *here;
      }
    }
  s.looks_like_labels = 5 * equal >= 4 * neighbours && neighbours > 0;

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

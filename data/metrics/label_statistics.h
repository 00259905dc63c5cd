#pragma once
#include <cstdint>
#include <vector>

namespace basin {

struct LabelStatistics {
  std::vector<int64_t> areas;  // of the labels present, px, ascending
  int64_t largest_label = 0;
  int64_t background = 0;          // px
  bool looks_like_labels = false;  // four of five neighbours within objects are equal, unlike in a photograph
};

/// Statistics of an image [height][width] that may be a label image. All zero if a value is negative or not a whole
/// number.
LabelStatistics label_statistics(const std::vector<double>& values, int64_t height, int64_t width);

}  // namespace basin

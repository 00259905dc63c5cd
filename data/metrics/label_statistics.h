#pragma once
#include <cstdint>
#include <vector>

namespace basin {

struct LabelStatistics {
  std::vector<int64_t> areas;  // of the labels present, in px, ascending
  int64_t largest_label = 0;
  int64_t background = 0;          // px
  bool looks_like_labels = false;  // four of five neighbours within objects have equal values, as in no photograph
};

/// Of an image [height][width] that may be a label image. All zero where a value is negative or no whole number.
LabelStatistics label_statistics(const std::vector<double>& values, int64_t height, int64_t width);

}  // namespace basin

#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace basin {

/// The first and the last column and row of an object.
struct Box {
  int32_t left = std::numeric_limits<int32_t>::max(), top = left, right = -1, bottom = -1;

  /// Extends it by the pixels [begin, end), at least one, in raster order of an image of this width.
  void add(int64_t begin, int64_t end, int64_t width);
};

/// Intersection over union, with (right - left) (bottom - top) as the area of a box, as in object-guided segmentation
/// (Yi et al., IEEE TMI 40 (2021)): a box of one column or one row has no area and an IoU of 0 with any other.
double box_iou(const Box&, const Box&);

/// The box with the greatest IoU, the first on a tie.
struct BestBox {
  int64_t index = -1;  // from 0; -1: no box overlaps
  double iou = 0;
};

/// For each of `predictions` the best of `truths`.
std::vector<BestBox> best_boxes(std::span<const Box> truths, std::span<const Box> predictions);

}  // namespace basin

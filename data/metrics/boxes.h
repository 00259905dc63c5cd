#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace basin {

/// The first and the last column and row of an object.
struct Box {
  int32_t left = std::numeric_limits<int32_t>::max(), top = left, right = -1, bottom = -1;

  /// Widens it by the pixels [begin, end), at least one, of an image of this width in raster order.
  void add(int64_t begin, int64_t end, int64_t width);
};

/// Intersection over union, the area of a box being (right - left) (bottom - top), as object-guided segmentation
/// takes it (Yi et al., IEEE TMI 40 (2021)): a box of one column or one row has no area, and 0 with any other.
double box_iou(const Box&, const Box&);

/// The box of greatest IoU with another, the first on a tie.
struct BestBox {
  int64_t index = -1;  // from 0; -1: none overlaps it
  double iou = 0;
};

/// The best of `truths` for each of `predictions`.
std::vector<BestBox> best_boxes(std::span<const Box> truths, std::span<const Box> predictions);

}  // namespace basin

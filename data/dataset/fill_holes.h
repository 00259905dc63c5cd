#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"
#include "data/files/planes.h"

namespace basin {

/// The same objects with their holes filled: background enclosed by an object within its bounding box (4-connected)
/// becomes part of it. Other objects in a hole are unchanged. Background enclosed by several objects goes to the one
/// with the smallest bounding box, the innermost; on a tie to the lower id. Background that reaches the image's border
/// is not a hole.
Labels fill_holes(const Labels&);
/// The same for masks of their own, each by itself.
Planes fill_holes(const Planes&);

/// What fill_holes() consists of, for labels that are larger than memory: the holes of one object after the other are
/// filled in place, in the order of filling_order().
class HoleFiller {
 public:
  /// Fills the holes of an object in the labels of its bounding box, height rows that begin `stride` labels apart.
  /// Returns the number of pixels that became part of it.
  int64_t fill(int32_t object, int height, int width, int32_t* labels, int64_t stride);

 private:
  std::vector<uint8_t> outside_;
  std::vector<int> open_;
};

/// Objects 1, 2, ... by the areas of their bounding boxes, smallest first.
std::vector<int32_t> filling_order(const std::vector<int64_t>& box_areas);

}  // namespace basin

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
/// The same for objects that may share pixels; the holes of each mask are filled independently.
Planes fill_holes(const Planes&);

/// One step of fill_holes(), for labels that are larger than memory: fill() must be called for all objects in the order
/// of filling_order().
class HoleFiller {
 public:
  /// Fills the holes of an object in place, in the labels of its bounding box, whose rows begin `stride` labels apart.
  /// Returns the number of pixels that became part of it.
  int64_t fill(int32_t object, int height, int width, int32_t* labels, int64_t stride);

 private:
  std::vector<uint8_t> outside_;
  std::vector<int> open_;
};

/// Objects 1, 2, ... by the areas of their bounding boxes, smallest first.
std::vector<int32_t> filling_order(const std::vector<int64_t>& box_areas);

}  // namespace basin

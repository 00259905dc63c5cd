#pragma once
// The labels of an image that is segmented in blocks.
#include <cstdint>
#include <vector>

#include "data/objects/drop_objects.h"
#include "engine/plane_file.h"
#include "models/block_decoding.h"

namespace basin::tools {

/// The labels of the whole image, which are in a scratch file with the numbers of before objects were dropped. They are
/// read with the final numbers.
class LargeLabels {
 public:
  LargeLabels(const PlaneFile& file, std::vector<int32_t> numbers, int count)
      : file_(file), numbers_(std::move(numbers)), count_(count) {}

  int count() const { return count_; }
  bool is_wide() const { return count_ > 65535; }

  /// Every step-th pixel of every step-th row, from pixel (step y, step x) on.
  template <class T>
  void read(int step, const PixelRect& r, T* to) const {
    std::vector<int32_t> row(size_t(r.width - 1) * size_t(step) + 1);
    for (int y = 0; y < r.height; ++y) {
      file_.read(0, {(r.y + y) * step, r.x * step, 1, int(row.size())}, row.data());
      for (int x = 0; x < r.width; ++x)
        *to++ = T(numbers_[size_t(row[size_t(x) * size_t(step)])]);
    }
  }

 private:
  const PlaneFile& file_;
  std::vector<int32_t> numbers_;  // of objects 0, 1, ... of the file
  int count_;
};

/// Writes labels of from_height x from_width pixels to a file of height x width pixels, resized like a whole image by
/// resized(). Returns the extents of objects 1, 2, ... in the new file. An object that loses all its pixels keeps its
/// number.
std::vector<ObjectExtent> resize_labels(const PlaneFile& from, int from_height, int from_width, PlaneFile& to,
                                        int height, int width, int objects);

/// Copies labels of height x width pixels from one file to another.
void copy_labels(const PlaneFile& from, int height, int width, PlaneFile& to);

/// Gives the objects 0, 1, ... in a file of labels new numbers.
void renumber_labels(PlaneFile&, int height, int width, const std::vector<int32_t>& numbers);

/// Fills the holes of objects in a file of labels like fill_holes(), and adds them to the areas of the objects. Throws
/// one sentence if the bounding box of a single object needs more than `memory` bytes.
void fill_holes_in_file(PlaneFile&, std::vector<ObjectExtent>& objects, int64_t memory);

/// The new numbers of objects 0, 1, ... after the filter: 0 of those that it drops, and of those without a pixel.
/// `objects` keeps the extents of the others.
std::vector<int32_t> number_kept(const ObjectFilter&, int height, int width, std::vector<ObjectExtent>& objects,
                                 Dropped&);

}  // namespace basin::tools

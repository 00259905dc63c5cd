#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// Numbers the objects of a sequence of planes so that objects which overlap enough in neighbouring planes have one
/// number, as stitch3D of Cellpose does (Stringer et al. 2021, Nature Methods 18).
///
/// In two neighbouring planes, pairs of objects with an intersection over union of at least `threshold` are considered
/// by descending IoU; ties by ascending number in the earlier plane, then in the later one. If neither object has a
/// partner yet, the one in the later plane gets the number of the other. All other objects get new numbers, in their
/// order, above those used so far.
class Stitcher {
 public:
  explicit Stitcher(double threshold) : threshold_(threshold) {}

  /// The numbers of objects 1, 2, ... of the next plane. Of the first plane they are 1, 2, ... All planes have one
  /// size.
  std::vector<int32_t> add(const Labels&);
  /// The highest number used so far, which is the number of different objects.
  int32_t highest() const { return highest_; }

 private:
  double threshold_;
  Labels last_;                        // of the plane before
  std::vector<int32_t> last_numbers_;  // of its objects
  int32_t highest_ = 0;
};

}  // namespace basin

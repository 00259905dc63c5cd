#pragma once
#include "engine/ops/roi.h"
#include "models/networks/og_layers.h"

namespace basin {

/// The regions of boxes on the levels of a pyramid. Boxes with regions on more levels come first, so that the regions
/// of a level are the first ones of every finer level.
struct OgRegions {
  std::vector<int> source;      // for each region on level 0: the box it is from
  std::vector<RoiList> levels;  // those with any region, the finest first

  int count() const { return int(source.size()); }
};
/// Boxes without a region on any level are left out.
OgRegions og_regions(const Exec&, const std::vector<RoiBox>&, int levels);

/// The mask branch of object-guided segmentation (Yi et al., IEEE TMI 40 (2021), public code): in each region the
/// features of coarse levels are combined with those of finer ones, with instance normalisation, and give a mask. Two
/// more heads, for training alone, refine the features where the mask is uncertain. Tensors have the names of the
/// public code's state_dict.
class OgMasks {
 public:
  OgMasks(Params& params, const OgOptions&);
  OgMasks(const OgMasks&) = delete;
  OgMasks& operator=(const OgMasks&) = delete;

  struct Features {
    Var levels[2];  // sheets of the two finest levels; the second is empty if no region is on it
    Var logits;     // of the masks, [points of level 0]
  };
  /// From the pyramid of OgDetector. There must be a region.
  Features forward(Tape&, const std::vector<Var>& pyramid, const OgRegions&) const;

  struct PointLogits {
    Var value;         // [1, 1, 1, P]
    RoiPlaces places;  // P points
  };
  /// The logits of the refining heads at uncertain points, from the features of level 0, and from those of levels 0 and
  /// 1 in the regions that have both. Heads without points are left out.
  std::vector<PointLogits> refine(Tape&, const Features&, const OgRegions&, const RoiPlaces& uncertain) const;

 private:
  OgLayers layers_;
  OgLayers::Conv head_[2], points_[2];
  std::vector<OgLayers::Combination> combinations_;  // of levels 0 and 1, 1 and 2, ...
};

}  // namespace basin

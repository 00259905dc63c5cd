#pragma once
#include "engine/ops/roi.h"
#include "models/networks/og_layers.h"

namespace basin {

/// The regions of boxes on the levels of a feature pyramid. Boxes with regions on more levels come first, so that the
/// boxes with regions on a level are the first ones on every finer level.
struct OgRegions {
  std::vector<int> source;      // the box of each region on level 0
  std::vector<RoiList> levels;  // the levels with any region, finest first

  int count() const { return int(source.size()); }
};
/// Boxes without a region on any level are left out.
OgRegions og_regions(const Exec&, const std::vector<RoiBox>&, int levels);

/// The mask branch of object-guided segmentation (Yi et al., IEEE TMI 40 (2021), public code): in each region the
/// features of coarse levels are combined with those of finer ones, with instance normalisation, and give a mask. Two
/// more heads, used only in training, refine the features where the mask is uncertain. Tensors have the names of the
/// public code's state_dict.
class OgMasks {
 public:
  OgMasks(Params& params, const OgOptions&);
  OgMasks(const OgMasks&) = delete;
  OgMasks& operator=(const OgMasks&) = delete;

  struct Features {
    Var levels[2];  // feature sheets of the two finest levels; the second is empty if it has no region
    Var logits;     // mask logits, [points of level 0]
  };
  /// Computes masks from OgDetector's feature pyramid. There must be at least one region.
  Features forward(Tape&, const std::vector<Var>& pyramid, const OgRegions&) const;

  struct PointLogits {
    Var value;         // [1, 1, 1, P]
    RoiPlaces places;  // the P points
  };
  /// The logits of the two refining heads at uncertain points: one from the features of level 0, and one from those of
  /// levels 0 and 1 in the regions that have both. Heads without points are left out.
  std::vector<PointLogits> refine(Tape&, const Features&, const OgRegions&, const RoiPlaces& uncertain) const;

 private:
  OgLayers layers_;
  OgLayers::Conv head_[2], points_[2];
  std::vector<OgLayers::Combination> combinations_;  // of levels 0 and 1, 1 and 2, ...
};

}  // namespace basin

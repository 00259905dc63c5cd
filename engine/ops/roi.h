#pragma once
#include "engine/tape.h"
#include "kernels/roi/detection.h"
#include "kernels/roi/rois.h"

namespace basin {

/// A bounding box of an object, in px of the network's input image.
struct RoiBox {
  int sample = 0;       // image of the batch
  double x = 0, y = 0;  // centre
  double width = 0, height = 0;
};

/// A region is this many times as wide and high as its box.
constexpr double roi_enlargement = 1.1;

/// The number of levels, 0 to `levels`, of a pyramid (level l is 2^l times smaller than the image) on which a box has a
/// region: its enlarged sides must be at least 2 px on that level and on all finer ones.
int roi_levels(const RoiBox&, int levels);

/// The regions on one level of the pyramid and their sheet (kernels::Rois), on the host and on the device of exec.
struct RoiList {
  struct Region {
    int sample, height, width, offset;  // offset: number of points of the regions before it
    int top, left;                      // on the sheet
    double x0, y0, step_x, step_y;      // of the grid, in px of the level
  };
  std::vector<Region> regions;
  int points = 0;  // of all regions
  int sheet_h = 1, sheet_w = 1;
  Tensor place;   // i32 [R, 6]
  Tensor grid;    // f64 [R, 4]
  Tensor point;   // i32 [points, 2]
  Tensor before;  // i32 [R + 1]: the offsets, then the total number of points

  int count() const { return int(regions.size()); }
  /// The first regions, at their positions on the same sheet.
  RoiList first(int count) const;
  kernels::Rois view() const;
};
/// For each box a grid of int(width) x int(height) points, the size of its enlarged sides on this level, from its left
/// to its right and from its upper to its lower edge. Throws if the box has no region on the level (roi_levels). The
/// sides of the sheet are 4, 5, 6 or 7 times a power of two, so that few sizes occur.
RoiList roi_list(const Exec&, const std::vector<RoiBox>&, int level);

// Operations on sheets, which are feature maps [1, C, sheet_h, sheet_w] in any layout, with zeros in the gaps.

/// See kernels::roi_sample: the sheet of maps [N, C, H, W], in their layout. Keeps only the shape of the maps.
Var roi_sample(Tape&, const Var& maps, const RoiList&);
/// See kernels::roi_mask_sample: the masks of label[r], [R], in labels [N, L, H, W].
Tensor roi_mask_sample(const Exec&, const Tensor& labels, const std::vector<int32_t>& label, const RoiList&, DType);
/// See kernels::roi_resize: the regions of `rois` on their sheet, from those of the same numbers in `low`. Keeps
/// nothing.
Var roi_resize(Tape&, const Var& sheet, const RoiList& low, const RoiList& rois);
/// relu(instance norm) of the first `count` regions, see kernels::roi_norm_relu. The other regions are copied from
/// `others`, or 0 if that is empty. Keeps x and the statistics.
Var roi_norm_relu(Tape&, const Var& x, const RoiList&, int count, const Var& others = {}, double epsilon = 1e-5);
/// x with zeros in the gaps. Keeps nothing.
Var roi_inside(Tape&, const Var& x, const RoiList&);
/// The values of channel 0 at the points, [points]. Keeps nothing.
Var roi_values(Tape&, const Var& sheet, const RoiList&);

/// Points within regions.
struct RoiPlaces {
  Tensor at;                            // f64 [P, 2]: see kernels::RoiPoints
  Tensor roi;                           // i32 [P]
  Tensor before;                        // i32 [R + 1]: number of points of the regions before each, then of all
  int count = 0;                        // P
  int regions = 0;                      // number of regions with points
  std::vector<int32_t> before_on_host;  // the same as `before`

  /// The points in the first regions.
  RoiPlaces first(int regions) const;
  kernels::RoiPoints view() const;
};
/// See kernels::uncertain_points: logit [points].
RoiPlaces uncertain_points(const Exec&, const Tensor& logit, const RoiList&, uint64_t seed, uint32_t batch);

/// See kernels::point_sample: [1, C, 1, P]. Keeps nothing.
Var point_sample(Tape&, const Var& sheet, const RoiList&, const RoiPlaces&);

/// See kernels::centre_focal_loss. [1]. Keeps both arguments and two sums.
Var centre_focal_loss(Tape&, const Var& logit, const Tensor& heat);
/// See kernels::cell_l1_loss. [1]. Keeps all arguments and two sums.
Var cell_l1_loss(Tape&, const Var& map, const Tensor& cell, const Tensor& target);
/// See kernels::segment_bce_loss: the logits have as many elements as truth, in any shape. [1]. Keeps all arguments.
Var segment_bce_loss(Tape&, const Var& logit, const Tensor& truth, const Tensor& before, double terms);

}  // namespace basin

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

/// The regions on one level of the pyramid, on the host and on the device of exec.
struct RoiList {
  struct Region {
    int sample, height, width, offset;  // offset: number of points of the regions before it
    double x0, y0, step_x, step_y;      // of the grid, in px of the level
  };
  std::vector<Region> regions;
  int points = 0;  // of all regions
  Tensor place;    // i32 [R, 4]
  Tensor grid;     // f64 [R, 4]
  Tensor before;   // i32 [R + 1]: the offsets, then the total number of points

  int count() const { return int(regions.size()); }
  kernels::Rois view() const;
};
/// For each box a grid of int(width) x int(height) points, the size of its enlarged sides on this level, from its left
/// to its right and from its upper to its lower edge. Throws if the box has no region on the level (roi_levels).
RoiList roi_list(const Exec&, const std::vector<RoiBox>&, int level);

/// See kernels::roi_sample: maps [N, C, H, W] in any layout. Returns ragged values [C * points] as one row. Keeps only
/// the shape of the maps.
Var roi_sample(Tape&, const Var& maps, const RoiList&);

/// Points within regions.
struct RoiPlaces {
  Tensor at;        // f64 [P, 2]: x, y in columns and rows of the region
  Tensor roi;       // i32 [P]
  Tensor before;    // i32 [R + 1]: number of points of the regions before each
  int count = 0;    // P
  int regions = 0;  // number of regions with points

  kernels::RoiPoints view() const;
};
/// See kernels::uncertain_points: logit [points], ragged with one channel.
RoiPlaces uncertain_points(const Exec&, const Tensor& logit, const RoiList&, uint64_t seed, uint32_t step);

/// See kernels::point_sample: samples ragged values of C channels at these points, [1, C, 1, P]. Keeps none of the
/// values.
Var point_sample(Tape&, const Var& ragged, int channels, const RoiList&, const RoiPlaces&);

/// See kernels::centre_focal_loss. [1]. Keeps both arguments and two sums.
Var centre_focal_loss(Tape&, const Var& logit, const Tensor& heat);
/// See kernels::cell_l1_loss. [1]. Keeps all arguments and two sums.
Var cell_l1_loss(Tape&, const Var& map, const Tensor& cell, const Tensor& target);
/// See kernels::segment_bce_loss: the logits have as many elements as truth, in any shape. [1]. Keeps all arguments.
Var segment_bce_loss(Tape&, const Var& logit, const Tensor& truth, const Tensor& before, double terms);

}  // namespace basin

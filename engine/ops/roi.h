#pragma once
#include "engine/tape.h"
#include "kernels/roi/detection.h"
#include "kernels/roi/rois.h"

namespace basin {

/// A box around an object, in px of the image that the network takes.
struct RoiBox {
  int sample = 0;       // image of the batch
  double x = 0, y = 0;  // centre
  double width = 0, height = 0;
};

/// What regions are of their boxes: 1.1 times as wide and high.
constexpr double roi_enlargement = 1.1;

/// How many levels of a pyramid, whose level l is 2^l times smaller than the image, hold a box: those in which its
/// enlarged sides, and those of all levels below, are 2 px and more. 0 to `levels`.
int roi_levels(const RoiBox&, int levels);

/// Regions of one level of the pyramid, on the host and where exec computes.
struct RoiList {
  struct Region {
    int sample, height, width, offset;  // offset: points of the regions before it
    double x0, y0, step_x, step_y;      // of the grid, in px of the level
  };
  std::vector<Region> regions;
  int points = 0;  // of all regions
  Tensor place;    // i32 [R, 4]
  Tensor grid;     // f64 [R, 4]
  Tensor before;   // i32 [R + 1]: the offsets, and at the end all points

  int count() const { return int(regions.size()); }
  kernels::Rois view() const;
};
/// Of each box a grid of int(width) x int(height) points, the enlarged sides at this level, from its left to its right
/// and its upper to its lower edge. A box that the level does not hold (roi_levels) is refused.
RoiList roi_list(const Exec&, const std::vector<RoiBox>&, int level);

/// See kernels::roi_sample: maps [N, C, H, W] in any layout. Ragged values [C * points] in one row. Keeps nothing of
/// the maps but their shape.
Var roi_sample(Tape&, const Var& maps, const RoiList&);

/// Places in regions.
struct RoiPlaces {
  Tensor at;        // f64 [P, 2]: x, y in columns and rows of the region
  Tensor roi;       // i32 [P]
  Tensor before;    // i32 [R + 1]: places of the regions before each
  int count = 0;    // P
  int regions = 0;  // that have places

  kernels::RoiPoints view() const;
};
/// See kernels::uncertain_points: logit [points], ragged of one channel.
RoiPlaces uncertain_points(const Exec&, const Tensor& logit, const RoiList&, uint64_t seed, uint32_t step);

/// See kernels::point_sample: of ragged values of C channels [1, C, 1, P]. Keeps nothing of the values.
Var point_sample(Tape&, const Var& ragged, int channels, const RoiList&, const RoiPlaces&);

/// See kernels::centre_focal_loss. [1]. Keeps both arguments and two sums.
Var centre_focal_loss(Tape&, const Var& logit, const Tensor& heat);
/// See kernels::cell_l1_loss. [1]. Keeps all arguments and two sums.
Var cell_l1_loss(Tape&, const Var& map, const Tensor& cell, const Tensor& target);
/// See kernels::segment_bce_loss: of as many elements as truth has, in any shape. [1]. Keeps all arguments.
Var segment_bce_loss(Tape&, const Var& logit, const Tensor& truth, const Tensor& before, double terms);

}  // namespace basin

#pragma once
#include <cmath>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// A ragged list of R regions of interest, each a grid of points over its box in one of N maps. Point (row, column) of
/// region r is at (x0 + column * step_x, y0 + row * step_y). Values of C channels are ragged too: those of region r are
/// [C, height, width], beginning at C * offset.
struct Rois {
  View<const int32_t, 2> place;  // [R, 4]: sample, height, width, offset (number of points of all regions before it)
  View<const double, 2> grid;    // [R, 4]: x0, y0, step_x, step_y
  int32_t points = 0;            // of all regions

  BASIN_HD int count() const { return place.dim[0]; }
  /// The region of a point: the last one that begins at or before it; none is empty.
  BASIN_HD int of_point(int32_t point) const {
    int low = 0, high = count();
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (place(middle, 3) <= point ? low : high) = middle;
    }
    return low;
  }
};

/// The four pixels around a position, and their weights. Pixels outside a map count as 0 (grid_sample with
/// align_corners and zero padding).
template <class T>
struct Corners {
  int x, y;  // of the upper left pixel
  T right, below;

  BASIN_HD Corners(double at_x, double at_y) {
    const double left = floor(at_x), top = floor(at_y);
    // Positions far outside, which may not fit into an int, have all four pixels outside.
    x = left > -2 && left < 2147483000.0 ? int(left) : -2;
    y = top > -2 && top < 2147483000.0 ? int(top) : -2;
    right = T(at_x - left);
    below = T(at_y - top);
  }
  /// Calls f(y, x, weight) for those inside [height, width].
  template <class F>
  BASIN_HD void each(int height, int width, const F& f) const {
    for (int j = 0; j < 2; ++j)
      for (int i = 0; i < 2; ++i)
        if (y + j >= 0 && y + j < height && x + i >= 0 && x + i < width)
          f(y + j, x + i, (i ? right : 1 - right) * (j ? below : 1 - below));
  }
};

/// values: ragged, C channels, sampled bilinearly from the maps [N, C, H, W] of any layout at the points of each
/// region.
template <class T>
void roi_sample(const Exec&, FeatureView<const T> maps, const Rois&, View<T, 1> values);
/// Adds to the gradient of the maps. On the CPU channel by channel: the same bits at any number of threads.
template <class T>
void roi_sample_backward(const Exec&, const Rois&, View<const T, 1> d_values, FeatureView<T> d_maps);

/// values: ragged, one channel: the coverage, in [0, 1], by label[r] at each point of region r, bilinear in the masks
/// of labels [N, H, W].
template <class T>
void roi_mask_sample(const Exec&, View<const int32_t, 3> labels, View<const int32_t, 1> label, const Rois&,
                     View<T, 1> values);

/// Points in regions: [P, 2] (x, y) in columns and rows of the region's grid, and the region of each.
struct RoiPoints {
  View<const double, 2> at;
  View<const int32_t, 1> roi;
};

/// values [C, P], sampled bilinearly from ragged values of C channels at points within the regions.
template <class T>
void point_sample(const Exec&, View<const T, 1> ragged, const Rois&, const RoiPoints&, View<T, 2> values);
/// Adds to the gradient of the ragged values; on the CPU channel by channel.
template <class T>
void point_sample_backward(const Exec&, const Rois&, const RoiPoints&, View<const T, 2> d_values, View<T, 1> d_ragged);

/// Chooses floor(.75 n) uncertain points in each region r, where n = floor(height * width / 8) (Kirillov et al.,
/// PointRend, CVPR 2020, with k = 3 and beta = .75): of 3 n points, uniform over the region, those where -|2 p - 1|,
/// bilinear between the grid points, is greatest. p = sigmoid(logit), logit ragged with one channel. Draws depend only
/// on the seed, the step and the region's index. chosen_before and drawn_before [R + 1]: floor(.75 n) and 3 n summed
/// over the regions before each; at and roi are for P = chosen_before[R] points.
template <class T>
void uncertain_points(const Exec&, View<const T, 1> logit, const Rois&, View<const int32_t, 1> chosen_before,
                      View<const int32_t, 1> drawn_before, int32_t drawn, uint64_t seed, uint32_t step,
                      View<double, 2> at, View<int32_t, 1> roi);

}  // namespace basin::kernels

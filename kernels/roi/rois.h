#pragma once
#include <cmath>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// R regions of interest, each a grid of points over its box in one of N maps. Point (row, column) of region r lies at
/// (x0 + column * step_x, y0 + row * step_y) of the maps. The points are listed region by region, row by row.
///
/// Their values are stored on a sheet: feature maps [1, C, sheet_h, sheet_w] in any layout, on which each region is a
/// rectangle of height x width pixels with its upper left corner at (top, left). Two regions are separated by a gap of
/// at least one row or column. As long as the gaps are 0, a 3x3 convolution of the sheet convolves each region as if it
/// were padded with zeros.
struct Rois {
  View<const int32_t, 2> place;  // [R, 6]: sample, height, width, offset (the points of earlier regions), top, left
  View<const double, 2> grid;    // [R, 4]: x0, y0, step_x, step_y
  View<const int32_t, 2> point;  // [points, 2]: region, pixel of the sheet
  int sheet_h = 0, sheet_w = 0;

  BASIN_HD int count() const { return place.dim[0]; }
  BASIN_HD int points() const { return point.dim[0]; }
  BASIN_HD int64_t sheet_pixels() const { return int64_t(sheet_h) * sheet_w; }
};

/// A point of the list.
struct RoiPoint {
  int roi, pixel;  // pixel: of the sheet
  int row, column;
  const int32_t* place;

  BASIN_HD RoiPoint(const Rois& rois, int64_t i) : roi(rois.point(int(i), 0)), pixel(rois.point(int(i), 1)) {
    place = &rois.place(roi, 0);
    const int y = pixel / rois.sheet_w;
    row = y - place[4];
    column = pixel - y * rois.sheet_w - place[5];
  }
};

/// The four pixels around a position, and their bilinear weights. Pixels outside a map count as 0 (PyTorch's
/// grid_sample with align_corners and zero padding).
template <class T>
struct Corners {
  int x, y;  // of the upper left one
  T right, below;

  BASIN_HD Corners(double at_x, double at_y) {
    const double left = floor(at_x), top = floor(at_y);
    // Positions so far outside that they may not fit into an int: all four pixels are outside.
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

/// sheet = the bilinear values of the maps [N, C, H, W] at the points of each region, 0 in the gaps. The maps have the
/// block of the sheet.
template <class T>
void roi_sample(const Exec&, FeatureView<const T> maps, const Rois&, FeatureView<T> sheet);
/// Adds the gradient to d_maps. On the CPU one thread takes all points of a group of channels, so the result does not
/// depend on the thread count.
template <class T>
void roi_sample_backward(const Exec&, const Rois&, FeatureView<const T> d_sheet, FeatureView<T> d_maps);

/// sheet [1, 1, h, w] = the bilinear values, in [0, 1], of the mask of label[r] at the points of each region r, 0 in
/// the gaps; labels [N, L, H, W], each in one of L layers.
template <class T>
void roi_mask_sample(const Exec&, View<const int32_t, 4> labels, View<const int32_t, 1> label, const Rois&,
                     FeatureView<T> sheet);

/// `to` = the values of the points from `first` on; other pixels do not change. May be in place.
template <class T>
void roi_copy(const Exec&, FeatureView<const T> from, const Rois&, int first, FeatureView<T> to);
/// values [points] = those of channel 0.
template <class T>
void roi_values(const Exec&, FeatureView<const T> sheet, const Rois&, View<T, 1> values);
/// Writes values [points] to channel 0; other pixels do not change.
template <class T>
void roi_set_values(const Exec&, View<const T, 1> values, const Rois&, FeatureView<T> sheet);

/// Resizes each region of `low` to the size that the same region has in `rois`: bilinear, see
/// runtime/resize_neighbours.h. `low` may have more regions, but not fewer. Pixels in the gaps of `out` do not change.
template <class T>
void roi_resize(const Exec&, FeatureView<const T> in, const Rois& low, const Rois& rois, FeatureView<T> out);
/// Writes the gradient of the regions of `low` that `rois` has too; other pixels of d_in do not change.
template <class T>
void roi_resize_backward(const Exec&, FeatureView<const T> d_out, const Rois& low, const Rois& rois,
                         FeatureView<T> d_in);

/// Statistics of each region and channel, [R, lanes] each, where `lanes` are the channels of the layout with its
/// padding.
template <class T>
struct RoiStatistics {
  T* mean = nullptr;
  T* inverse_std = nullptr;  // 1 / sqrt(biased variance + epsilon)
};
/// out = relu((x - mean) / sqrt(var + epsilon)) at the points; other pixels of `out` do not change. `stats` is
/// overwritten. Sums are in double, in a fixed order.
template <class T>
void roi_norm_relu(const Exec&, FeatureView<const T> x, const Rois&, double epsilon, RoiStatistics<T> stats,
                   FeatureView<T> out);
/// Writes d_x at the points; other pixels do not change. May not be in place.
template <class T>
void roi_norm_relu_backward(const Exec&, FeatureView<const T> x, const Rois&, RoiStatistics<T> stats,
                            FeatureView<const T> d_out, FeatureView<T> d_x);

/// Points inside regions, as fractions in [0, 1] of the way from the first to the last column and row, and the region
/// of each.
struct RoiPoints {
  View<const double, 2> at;  // [P, 2]: along x, along y
  View<const int32_t, 1> roi;
};

/// values [C, P] = the bilinear values of a sheet at the points.
template <class T>
void point_sample(const Exec&, FeatureView<const T> sheet, const Rois&, const RoiPoints&, View<T, 2> values);
/// Adds the gradient to d_sheet; on the CPU channel by channel.
template <class T>
void point_sample_backward(const Exec&, const Rois&, const RoiPoints&, View<const T, 2> d_values,
                           FeatureView<T> d_sheet);

/// Selects in each region r, of `height` times `width` points, floor(.75 n) uncertain points (Kirillov et al.,
/// PointRend, CVPR 2020, with k = 3 and beta = .75): of 3 n random points, n = floor(height * width / 8), uniform over
/// the region, those with the largest bilinear value of -|2 p - 1|. p = sigmoid(logit), logit [points]. The random
/// points depend only on seed, batch and the number of the region. chosen_before and drawn_before [R + 1]: the sums of
/// floor(.75 n) and of 3 n over the earlier regions; at and roi have chosen_before[R] points, as in RoiPoints.
template <class T>
void uncertain_points(const Exec&, View<const T, 1> logit, const Rois&, View<const int32_t, 1> chosen_before,
                      View<const int32_t, 1> drawn_before, int32_t drawn, uint64_t seed, uint32_t batch,
                      View<double, 2> at, View<int32_t, 1> roi);

}  // namespace basin::kernels

#pragma once
#include "kernels/cluster/bounds.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Converts the pixels of a mask to points, and labels of points back to an image.

namespace basin::kernels {

/// A subset of N points for work on a GPU without a round trip to the host: instead of computing the bounding box, the
/// caller gives the expected one.
struct MaskedPoints {
  const uint8_t* mask;  // [N]: points with 0 are ignored
  Bounds box;           // expected bounding box of the others
  int32_t* strays;      // [1]: set to 1 if one of them lies outside the box or is not finite; results are then invalid
};

/// mask = 1 where sigmoid(logit) > threshold, else 0; 0 < threshold < 1. A NaN is background.
void threshold_logit(const Exec&, View<const float, 2> logit, double threshold, View<uint8_t, 2> mask);

/// The number of pixels that are not 0.
int64_t count_points(const Exec&, View<const uint8_t, 2> mask);

/// points [N, 2] = (x, y) of the N = count_points(mask) pixels that are not 0, in raster order.
template <class T>
void mask_points(const Exec&, View<const uint8_t, 2> mask, View<T, 2> points);

/// points [H * W, 2] = (x, y) of all pixels of an image, in raster order.
template <class T>
void pixel_points(const Exec&, int height, int width, View<T, 2> points);

/// Turns labels [H * W] of all pixels into a label image by adding 1, so that noise, -1, becomes 0.
void label_pixels(const Exec&, View<int32_t, 1> labels);

/// image [H, W] = labels + 1 at the pixels of the mask, in raster order (noise, -1, becomes 0), and 0 elsewhere.
void label_points(const Exec&, View<const uint8_t, 2> mask, View<const int32_t, 1> labels, View<int32_t, 2> image);

}  // namespace basin::kernels

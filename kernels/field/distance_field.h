#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

struct SdfFieldOptions {
  int truncate = 10;  // px, at least 1: distances inside an object are clipped to this
  int kernel = 11;    // odd, 3 to 63: width of the smoothed difference
};

/// The vector field of an instance segmentation: for each object the Gaussian-smoothed differences of its truncated
/// signed distance, evaluated at its own pixels; (0, 0) on the background (Peters, "On Vector Fields for Instance
/// Segmentation").
///
/// labels [H,W]: 0 is background, any other value an object; field [2,H,W]: x, y, pointing inwards, not unit vectors.
/// For object k, D(q) = min(distance to the nearest pixel that is not k, truncate) inside k and minus the distance to
/// the nearest pixel of k outside. With r = kernel / 2, t_j = j / r and w_j proportional to exp(-2 t_j^2), sum 1:
/// F_x(p) = sum_i w_i sum_j sign(j) w_j D(p + (j, i)) over i, j = -r..r, and F_y likewise. Each object is treated
/// alone: its neighbours, its holes and everything outside the image count as outside. With a border of
/// `sdf_field_margin` pixels around a crop, the field of the crop equals that of the whole image. Time is proportional
/// to the number of pixels, whatever the number and the shape of the objects. The same bits at any thread count, and
/// from Variant::plain.
void sdf_field(const Exec&, View<const int32_t, 2> labels, const SdfFieldOptions&, View<float, 3> field);

/// How far a label can affect the field: truncate + kernel / 2 for the default options.
int sdf_field_margin(const SdfFieldOptions&);

}  // namespace basin::kernels

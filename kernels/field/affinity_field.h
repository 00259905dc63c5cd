#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The field of pixel affinities: with r = kernel / 2, F_x(p) = (same(dx > 0) - same(dx < 0)) / (2 kernel), where same
/// counts the pixels p + (dx, dy), dx, dy = -r..r, with the label of p; F_y likewise. It points into the object, each
/// component within +-(r / 2). labels [H,W]: 0 is background, any other value an object; field [2,H,W]: x, y, (0, 0) on
/// the background. kernel: odd, 3 to 63. Pixels outside the image belong to no object. Sums are of integers: the same
/// bits at any thread count, on the GPU and from Variant::plain.
void affinity_field(const Exec&, View<const int32_t, 2> labels, int kernel, View<float, 3> field);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

enum class CentroidMode {
  unit,         // (c - p) / |c - p|, but no longer than |c - p|: near the centroid the field ends on it
  displacement  // c - p: one step of length 1 lands on the centroid
};

constexpr int64_t centroid_pixel_limit = 1 << 29;  // H * W is below

/// From each pixel p of an object towards c, the mean of its object's pixels, which may lie outside a bent object.
/// labels [H,W]: 0 is background, any other value an object, in any order and however large; field [2,H,W]: x, y, (0,
/// 0) on the background. Sums are of integers: the same bits at any thread count and on the GPU.
void centroid_field(const Exec&, View<const int32_t, 2> labels, CentroidMode, View<float, 3> field);

}  // namespace basin::kernels

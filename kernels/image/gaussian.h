#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

constexpr double max_sigma = 16;  // pixels

/// Gaussian smoothing of a map [H, W], like scipy.ndimage.gaussian_filter with mode "nearest": the kernel reaches int(4
/// sigma + .5) pixels to each side and is normalised; outside the image the nearest pixel is used. 0 <= sigma <=
/// max_sigma; 0 copies. The two must not share memory.
void gaussian(const Exec&, View<const float, 2> from, double sigma, View<float, 2> to);

}  // namespace basin::kernels

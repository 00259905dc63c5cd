#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Connected components of mask [H, W] (non-zero: foreground), H * W < 2^31, with 4 or 8 neighbours per pixel. labels
/// [H, W]: 0 on the background, then 1, 2, ... in raster order of each component's first pixel, as in
/// `scipy.ndimage.label`. The same on any device at any thread count. Returns the number of components.
int64_t components(const Exec&, View<const uint8_t, 2> mask, int connectivity, View<int32_t, 2> labels);

/// The same for a label image [H, W]: a component consists of pixels with the same non-zero label. The two images must
/// not share memory.
int64_t components_of_labels(const Exec&, View<const int32_t, 2> image, int connectivity, View<int32_t, 2> labels);

}  // namespace basin::kernels

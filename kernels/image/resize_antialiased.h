#pragma once
#include "kernels/image/resized_part.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// An image [C, H, W] resized to [C, H', W'], with smoothing if it shrinks: along each axis pixels are weighted by a
/// triangle of half width max(1, H / H') pixels around (d + 1/2) H / H' - 1/2, normalised over the pixels in the image
/// (like Pillow's bilinear filter). Enlarging is bilinear interpolation. The same bits at any number of threads.
void resize_antialiased(const Exec&, View<const float, 3> from, View<float, 3> to, const ResizedPart& = {});

/// The pixels along an axis of `size` pixels on which pixels `range` depend, when it is resized to `resized` pixels.
PixelRange antialiased_sources(const PixelRange& range, int size, int resized);

}  // namespace basin::kernels

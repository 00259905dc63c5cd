#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// An image [C, H, W] at another size [C, H', W'], smoothed as far as it shrinks: along each axis a triangle of half
/// width max(1, H / H') pixels around (d + 1/2) H / H' - 1/2 weighs the pixels, and the weights of those in the image
/// add up to 1 (as Pillow's bilinear filter). Enlarged, it is bilinear interpolation. The same bits at any number of
/// threads.
void resize_antialiased(const Exec&, View<const float, 3> from, View<float, 3> to);

}  // namespace basin::kernels

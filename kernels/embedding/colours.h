#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// How the background colour of an image is found: the most frequent one, or the most frequent one along the image
/// border, for objects that fill more than half of the image. On a tie the lowest.
enum class BackgroundRule { most_frequent, border };

/// The colour of each pixel is the channel of maps [K, H, W] with the largest value, on a tie the lowest. colours [H,
/// W] receives 0 for the background colour, and 1 + channel elsewhere. The same on any device, without a round trip to
/// the host.
void object_colours(const Exec&, View<const float, 3> maps, BackgroundRule, View<int32_t, 2> colours);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Which colour of an image is its background: the most frequent one, or the most frequent one of the pixels along the
/// image border, which holds where an object fills more than half of the image. On a tie the lowest.
enum class BackgroundRule { most_frequent, border };

/// The colour of each pixel is the channel of maps [K, H, W] with the largest value, on a tie the lowest. colours [H,
/// W] receives 0 where that is the background's, and 1 + channel elsewhere. The same on any device; the host does not
/// wait.
void object_colours(const Exec&, View<const float, 3> maps, BackgroundRule, View<int32_t, 2> colours);

}  // namespace basin::kernels

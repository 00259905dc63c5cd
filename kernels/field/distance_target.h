#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The distance map that W-Net learns: within each object, the distance to its boundary, relative to the largest one in
/// that object, times `scale`. A pixel is on a boundary, on both sides of a contact, unless all of its 3 x 3 neighbours
/// inside the image have its label; the border of the image is not a boundary. Distances are exact Euclidean, from
/// object pixels that are not on a boundary to the nearest other pixel; elsewhere the map is 0, also for whole objects
/// without such pixels. Pieces of an object share its largest distance, and an object that fills the image is `scale`
/// everywhere. labels [H, W]; those from `slots` on are background, and negative ones lie outside the image, which may
/// have any shape. distance [H, W]. The same on any device at any thread count, without a round trip to the host.
void distance_target(const Exec&, View<const int32_t, 2> labels, int slots, double scale, View<float, 2> distance);

}  // namespace basin::kernels

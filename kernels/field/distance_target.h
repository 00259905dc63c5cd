#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The distance map that W-Net learns: within each object, the distance to where objects end, relative to the largest
/// one in that object, times `scale`. A pixel whose 3 x 3 neighbours, as far as they lie in the image, are not all of
/// its label is a boundary, on both sides of a contact; the border of the image is none. Distances are the exact
/// Euclidean ones from pixels of objects that are no boundaries, to the nearest pixel of another kind; elsewhere the
/// map is 0, and so is all of an object without such pixels. Pieces of an object share its largest distance, and an
/// object that fills the image is at `scale`.
/// labels [H, W] >= 0; those from `slots` on are background. distance [H, W]. The same on any device at any thread
/// count; the host does not wait.
void distance_target(const Exec&, View<const int32_t, 2> labels, int slots, double scale, View<float, 2> distance);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The unit gradient of each object's distance to its border (the field of Omnipose, Cutler et al. 2022, but with the
/// exact distance of edt.h instead of an iterated one).
///
/// labels [H,W]: 0 is background, any other value an object; field [2,H,W]: x, y. Along each axis the central
/// difference of the distance if both neighbours belong to the object, the one-sided one if one does, otherwise 0; then
/// divided by the norm, or (0, 0) if that is below 1e-12 and on the background. The outside of the image does not count
/// as outside the object. The same bits at any thread count.
void omnipose_field(const Exec&, View<const int32_t, 2> labels, View<float, 3> field);

}  // namespace basin::kernels

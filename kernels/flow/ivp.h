#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

struct IvpOptions {
  double step = 0.25;
  int steps = 8;
};

/// Initial-value-problem loss (Peters, "On vector fields for instance segmentation"): from every pixel,
/// `options.steps` Euler steps of length `options.step` through the true and through the predicted field, both sampled
/// by clamped bilinear interpolation (kernels/flow/bilinear.h); points themselves are not clamped.
/// value = mean over steps, pixels and components of the squared distance of the two points.
///
/// predicted, truth: [N, 2, H, W], (x, y) in pixels. value: one number in device memory. d_predicted [N, 2, H, W]
/// receives the gradient of the value, overwritten; with no data it is not wanted. Where a point lies on the pixel
/// lattice or outside the image it has no derivative by its position. Fields with NaN or inf give NaN or inf, nothing
/// worse. The same bits at any number of CPU threads; on the GPU where exec.deterministic.
template <class T>
void ivp_loss(const Exec&, View<const T, 4> predicted, View<const T, 4> truth, const IvpOptions&, T* value,
              View<T, 4> d_predicted = {});

}  // namespace basin::kernels

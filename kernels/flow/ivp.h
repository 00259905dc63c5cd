#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

struct IvpOptions {
  double step = 0.25;
  int steps = 8;
};

/// Initial-value-problem loss (Peters, "On vector fields for instance segmentation"): from every pixel, `options.steps`
/// Euler steps of length `options.step` through the true and through the predicted field, both sampled by clamped
/// bilinear interpolation (kernels/flow/bilinear.h); points themselves are not clamped. value = mean over steps, pixels
/// and components of the squared distance of the two points.
///
/// predicted, truth: [N, 2, H, W], (x, y) in pixels. value: one number in device memory. d_predicted [N, 2, H, W] is
/// overwritten with the gradient of the value; without data it is not computed. The derivative with respect to the
/// position of a point on the pixel lattice or outside the image is taken as 0. Fields with NaN or infinity only give
/// NaN or infinity. The same bits at any number of CPU threads; on the GPU if exec.deterministic.
template <class T>
void ivp_loss(const Exec&, View<const T, 4> predicted, View<const T, 4> truth, const IvpOptions&, T* value,
              View<T, 4> d_predicted = {});

}  // namespace basin::kernels

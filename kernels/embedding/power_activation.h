#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// FCRNet's activation, a soft argmax over the channels: h_k = u_k / sum_j u_j with u_k = (|e_k| + floor)^alpha. e, h
/// [N, C, H, W]. alpha > 0 is one number in device memory, because it grows during training. Powers are relative to the
/// largest |e_k| of a pixel, so nothing overflows. With a floor of 0, a pixel whose e are all 0 has h = 0 and no
/// gradient; the floor of 1e-4 avoids that.
template <class T>
void power_activation(const Exec&, View<const T, 4> e, const float* alpha, double floor, View<T, 4> h);

/// d_e_j = alpha sgn(e_j) / (|e_j| + floor) h_j (d_h_j - sum_k h_k d_h_k), with sgn(0) = 1. d_e is overwritten, or
/// added to if `accumulate`.
template <class T>
void power_activation_backward(const Exec&, View<const T, 4> e, View<const T, 4> h, const float* alpha, double floor,
                               View<const T, 4> d_h, View<T, 4> d_e, bool accumulate);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The vector of each pixel divided by its length: u = v / max(|v|, 1e-6). v, u [N, C, H, W].
template <class T>
void unit_vectors(const Exec&, View<const T, 4> v, View<T, 4> u);

/// d_v = (d_u - u (u d_u)) / |v|, or d_u / 1e-6 if the vector is shorter than that. d_v is overwritten, or added to if
/// `accumulate`.
template <class T>
void unit_vectors_backward(const Exec&, View<const T, 4> v, View<const T, 4> d_u, View<T, 4> d_v, bool accumulate);

}  // namespace basin::kernels

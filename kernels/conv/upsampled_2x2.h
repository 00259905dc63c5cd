#pragma once
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// A convolution with a 2x2 kernel w, padded at the bottom and on the right, of maps whose pixels are repeated 2x2. With
// v and u in {0, 1}, tap (v, u) of output pixel (2y + p, 2x + q) reads pixel (y + (p and v), x + (q and u)) of the
// original maps. So the pixels of one phase (p, q) are a convolution of those maps with a kernel of (1 + p) x (1 + q)
// taps, padded by p rows at the bottom and q columns on the right; taps that read the same pixel are added up. Phases
// are numbered 2 p + q; beyond the last pixel both sides of the equation read zeros.

namespace basin::kernels {

/// The kernels of the four phases, each [out, in, 1 + p, 1 + q].
template <class T>
struct PhaseWeights {
  View<T, 4> phase[4];
};
/// Overwrites the kernels of the phases with the sums of the taps of `weight` [out, in, 2, 2].
template <class T>
void split_into_phases(const Exec&, View<const T, 4> weight, const PhaseWeights<T>& phases);
/// Adds the gradients of the phases' kernels to d_weight.
template <class T>
void join_phase_gradients(const Exec&, const PhaseWeights<const T>& d_phases, View<T, 4> d_weight);

/// Maps of the four phases, each with half the height and width.
template <class X>
struct PhaseMaps {
  FeatureView<X> phase[4];
};
/// out[2y + p, 2x + q] = phase[2p + q][y, x].
template <class X>
void interleave_phases(const Exec&, const PhaseMaps<const X>& phases, FeatureView<X> out);
/// phase[2p + q][y, x] = maps[2y + p, 2x + q].
template <class X>
void separate_phases(const Exec&, FeatureView<const X> maps, const PhaseMaps<X>& phases);

}  // namespace basin::kernels

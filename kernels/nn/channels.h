#pragma once
#include "kernels/nn/training_step.h"
#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

// Operations on the channels of feature maps in any layout: concatenation, channel dropout, normalisation of each
// pixel's vector. Padding lanes stay 0.

namespace basin::kernels {

/// Copies the channels from_first, ... of `from` to the channels to_first, ..., to_first + count - 1 of `to`. The two
/// may differ in layout; other channels of `to` do not change.
template <class X>
void copy_channels(const Exec&, FeatureView<const X> from, int from_first, FeatureView<X> to, int to_first, int count);

/// The mask of channel dropout: mask[n, c] = 1 / (1 - p) if the channel is kept, otherwise 0; [N, lanes], 0 in the
/// padding lanes of maps with this block. A function of (seed, step, layer, n, c): the same in any layout, on any
/// machine.
template <class T>
void channel_dropout_mask(const Exec&, int samples, int channels, int block, double p, uint64_t seed, uint32_t layer,
                          const StepState* state, T* mask);
/// out = mask[n, c] x; `out` may be x.
template <class X>
void multiply_channels(const Exec&, FeatureView<const X> x, const Arithmetic<X>* mask, FeatureView<X> out);

/// out = v / max(|v|, epsilon), where v is the vector of a pixel's channels and |v| its length.
template <class X>
void normalise_pixels(const Exec&, FeatureView<const X> x, Arithmetic<X> epsilon, FeatureView<X> out);
/// d_x is overwritten and may be d_out.
template <class X>
void normalise_pixels_backward(const Exec&, FeatureView<const X> x, Arithmetic<X> epsilon, FeatureView<const X> d_out,
                               FeatureView<X> d_x);

}  // namespace basin::kernels

#pragma once
#include "kernels/nn/batch_norm.h"

// Instance normalisation: each channel of each sample by its own mean and biased variance, without parameters, then a
// ReLU if `relu`. In any layout; `lanes` below are the channels with the padding lanes of their layout.

namespace basin::kernels {

/// out = (x - mean) / sqrt(var + epsilon), then a ReLU if `relu`; `stats`, [N, lanes] each, is overwritten. Same bits
/// at any thread count.
template <class X>
void instance_norm(const Exec&, FeatureView<const X> x, Arithmetic<X> epsilon, bool relu,
                   NormStats<Arithmetic<X>> stats, FeatureView<X> out);
/// The backward pass, with the statistics from instance_norm(). d_x is overwritten and may be d_out.
template <class X>
void instance_norm_backward(const Exec&, FeatureView<const X> x, bool relu, NormStats<Arithmetic<X>> stats,
                            FeatureView<const X> d_out, FeatureView<X> d_x);

}  // namespace basin::kernels

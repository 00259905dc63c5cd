#pragma once
#include <vector>

#include "engine/tape.h"
#include "kernels/nn/activation.h"
#include "kernels/nn/training_step.h"

// Operations without parameters on feature maps [N, C, H, W] in any layout; the results have the same layout.

namespace basin {

/// The same maps in this layout.
Var to_layout(Tape&, const Var& x, Layout);

/// kernels/nn/resample.h: 2x2 max pooling. Saves which pixel was chosen.
Var max_pool(Tape&, const Var& x);
/// kernels/nn/resize.h: 3x3 max pooling with stride 2 and padding 1. Saves which pixel was chosen.
Var max_pool_3x3(Tape&, const Var& x);
/// kernels/nn/resize.h: to h rows and w columns. Saves nothing.
Var resize_bilinear(Tape&, const Var& x, int h, int w);

struct DropoutOptions {
  double p = 0.2;
  uint64_t seed = 0;
  uint32_t layer = 0;  // distinguishes the masks of several dropouts
};
/// Element-wise dropout. Saves nothing: the mask is recomputed. Only on a training tape.
Var dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);
/// Drops whole channels of a sample. Saves the mask, one number per channel. Only on a training tape.
Var channel_dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);

/// The mask of channel dropout for maps of this shape: one number per sample and channel, for kernels that combine it
/// with other work (kernels/nn/channels.h).
Tensor channel_dropout_mask(Tape&, const Tensor& maps, const DropoutOptions&, const StepState*);

/// relu(x), sigmoid(x), tanh(x). Saves its value.
Var relu(Tape&, const Var& x);
Var sigmoid(Tape&, const Var& x);
Var tanh(Tape&, const Var& x);

/// a + b. Saves nothing.
Var add(Tape&, const Var& a, const Var& b);
/// relu(a + b). Saves its value.
Var add_relu(Tape&, const Var& a, const Var& b);

/// The parts concatenated along the channels, in this layout, which may differ from theirs. Saves nothing. A
/// convolution of several parts (engine/ops/conv.h) needs no concatenation.
Var concat(Tape&, const std::vector<Var>& parts, Layout);

/// Divides each pixel's vector of channels by its length, or by epsilon if that is larger. Keeps x.
Var normalise_pixels(Tape&, const Var& x, double epsilon = 1e-6);

}  // namespace basin

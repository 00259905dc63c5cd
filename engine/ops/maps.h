#pragma once
#include <vector>

#include "engine/tape.h"
#include "kernels/nn/activation.h"
#include "kernels/nn/training_step.h"

// Operations without parameters on feature maps [N, C, H, W] in any layout, which their values have too.

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
  uint32_t layer = 0;  // tells the masks of several dropouts apart
};
/// Element-wise. Saves nothing: the mask is computed anew. On a training tape only.
Var dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);
/// Of whole channels of a sample. Saves the mask, a number per channel. On a training tape only.
Var channel_dropout(Tape&, const Var& x, const DropoutOptions&, const StepState*);

/// The mask of a channel dropout of maps like these: a number per sample and channel, for kernels that apply it with
/// other work (kernels/nn/channels.h).
Tensor channel_dropout_mask(Tape&, const Tensor& maps, const DropoutOptions&, const StepState*);

/// relu(x), sigmoid(x), tanh(x). Saves its value.
Var relu(Tape&, const Var& x);
Var sigmoid(Tape&, const Var& x);
Var tanh(Tape&, const Var& x);

/// a + b. Saves nothing.
Var add(Tape&, const Var& a, const Var& b);
/// relu(a + b). Saves its value.
Var add_relu(Tape&, const Var& a, const Var& b);

/// The parts concatenated along the channels, in this layout, which need not be theirs. Saves nothing. A convolution of
/// several parts (engine/ops/conv.h) needs no concatenation.
Var concat(Tape&, const std::vector<Var>& parts, Layout);

/// Each pixel's vector of channels divided by its length, or by epsilon where that is larger. Keeps x.
Var normalise_pixels(Tape&, const Var& x, double epsilon = 1e-6);

}  // namespace basin

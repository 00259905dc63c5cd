#pragma once
#include <functional>

#include "data/dataset/augment.h"
#include "kernels/runtime/exec.h"

namespace basin {

/// Makes the targets [channels, h, w] of a crop from labels [h + 2 margin, w + 2 margin] where exec computes. Pixels
/// outside the image are 0, so an image's border is an object's border, and a crop's is not: with a margin as wide as
/// the targets reach, they are those of the whole image, cut.
using MakeTargets = std::function<void(const Exec&, View<const int32_t, 2> labels, View<float, 3> target)>;

/// A crop as it was cut: not turned yet.
struct RawSample {
  View<const float, 3> image;     // [C, crop, crop]
  View<const int32_t, 2> labels;  // [crop + 2 margin, crop + 2 margin]
  Transform transform;
};

/// A crop as a training step takes it.
struct Sample {
  View<float, 3> image;   // [C, crop, crop]
  View<float, 2> mask;    // [crop, crop], 0 or 1
  View<float, 3> target;  // [channels, crop, crop]
};

/// Turns and flips image and labels, and makes mask and targets of these. All memory is where exec computes.
void prepare(const Exec&, const RawSample&, const MakeTargets&, const Sample& to);

}  // namespace basin

#pragma once
#include <vector>

#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/embedding/colours.h"

namespace basin {

/// How the colours of FCRNet become instances (Cao and Yan, four-colour embedding).
struct ColourDecoding {
  kernels::BackgroundRule background = kernels::BackgroundRule::most_frequent;
  int connectivity = 8;  // 4 or 8
  int min_size = 0;      // pixels of an object; the networks of the paper were trained on those of 25 and more
};

/// The instances of an image: each pixel of maps [K, H, W] has the colour of its largest channel, one colour is the
/// background's, and objects are the connected components of the other colours, numbered in raster order of their first
/// pixels.
Labels decode_colours(const Exec&, const Tensor& maps, const ColourDecoding&);

/// What a perfect network would give for these labels: [colours, H, W] of zeros and a one at each pixel, where channel
/// 0 is the background and neighbours within `radius` pixels have different channels, as far as the other colours - 1
/// suffice. colours >= 2.
Tensor colour_oracle(const Exec&, const Labels&, int colours, double radius = 10);

/// One channel for each object, by colour: out [colours, H, W] with a one where a pixel's object, or the background,
/// has this colour. colour_of_object: by id - 1, from 1 on, as 0 is the background.
Tensor one_hot(const Exec&, const Labels&, const std::vector<int>& colour_of_object, int colours);

}  // namespace basin

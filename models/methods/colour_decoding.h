#pragma once
#include <vector>

#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/embedding/colours.h"

namespace basin {

/// Settings for decoding FCRNet's colour maps into instances (Cao and Yan, four-colour embedding).
struct ColourDecoding {
  kernels::BackgroundRule background = kernels::BackgroundRule::most_frequent;
  int connectivity = 8;  // 4 or 8
  int min_size = 15;     // smallest object, in pixels; published: 0, with networks trained on objects of at least 25
};

/// The instances of an image; its maps are freed as soon as they are no longer needed. The colour of each pixel of maps
/// [K, H, W] is its largest channel, one colour is the background, and objects are the connected components of the
/// other colours, numbered in raster order of their first pixels.
Labels decode_colours(const Exec&, Tensor maps, const ColourDecoding&);

/// The output of a perfect network for these labels: [colours, H, W], one-hot at each pixel. Channel 0 is the
/// background, and neighbours within `radius` pixels have different channels as far as the other colours - 1 channels
/// suffice. colours >= 2.
Tensor colour_oracle(const Exec&, const Labels&, int colours, double radius = 10);

/// One-hot maps of colours, in host memory: maps [colours, H, W] are 1 in channel 0 on the background and in channel
/// c + 1 where the object has colour c, else 0. labels [H, W] are compact; colour_of_object is indexed by id - 1.
void write_one_hot(View<const int32_t, 2> labels, const std::vector<int>& colour_of_object, View<float, 3> maps);

}  // namespace basin

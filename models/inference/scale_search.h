#pragma once
#include "models/inference/appearance.h"
#include "models/inference/large_image.h"
#include "models/inference/segmenter.h"

namespace basin {

/// The scale at which a network should see an image, and why.
struct FoundScale {
  double scale = 1;     // rounded to three digits
  double diameter = 0;  // median of the objects that were looked at, in pixels of the image; 0: none was found
};

/// Looks for the scale at which the objects of an image have the size of those of the training. Parts of the image are
/// segmented at scales from 1/4 to 4, each in as few pixels as hold several objects, where the image differs most from
/// its middle value. A scale is trusted as far as the median diameter of what is found there fits the training's, and
/// as far as the same objects are found at a neighbouring scale: objects that are far too large fall into other pieces
/// at every scale, and those that are far too small merge into others. At the scale that is chosen, the network sees
/// the median diameter half-way, on a logarithmic scale, between the one found and the training's: among the objects of
/// training, too, the large ones look like those that are large here. It is brought nearer where half-way lies outside
/// the training's range.
///
/// Scale 1 is looked at first and kept where it fits: where the median that the network sees lies within the middle two
/// thirds of the training's range on a logarithmic scale, or within a factor of 1.26 of its median. It is also kept
/// where nothing is found at any scale. The same image gives the same scale on every run.
///
/// One rule comes before these: an image that is smooth from pixel to pixel, and whose median diameter is more
/// than 1.26 times the training's, is reduced until it is the training's, even within the training's range. It is
/// sampled more finely than its detail needs, while large objects of training images are sharp. A still smoother one
/// whose median diameter is more than 0.85 times the training's is reduced to 0.85 times. And an image whose
/// neighbouring pixels have nothing to do with each other is not enlarged: noise that is enlarged looks like small
/// objects.
FoundScale find_scale(const Exec&, const Method&, const Predictor&, const Source&, const Appearance& trained);
/// The same for an image that is read in parts, of which at most max_bytes of pixels are held at a time.
FoundScale find_scale(const Exec&, const Method&, const Predictor&, const LargeImage&, const Appearance& trained,
                      int64_t max_bytes);

}  // namespace basin

#pragma once
#include "models/inference/appearance.h"
#include "models/inference/large_image.h"
#include "models/inference/segmenter.h"

namespace basin {

/// The scale at which a network should see an image, and why.
struct FoundScale {
  double scale = 1;     // rounded to three digits
  double diameter = 0;  // median diameter of the objects in pixels of the image; 0: no objects were found
};

/// Searches for the scale at which the objects of an image have about the size of the training objects. At scales from
/// 1/8 to 4, a part of the image that differs much from its middle value and holds a few objects is segmented. A scale
/// is trusted if the median diameter of the objects found there is close to that of the training objects, and if a
/// neighbouring scale finds the same objects: objects that are far too large break into different pieces at each scale,
/// and objects that are far too small merge differently. The chosen scale brings the median diameter half-way, on a
/// logarithmic scale, to that of the training objects, because large training objects, too, look like objects that are
/// large in this image. It brings it closer if half-way is outside the range of the training objects.
///
/// Scale 1 is tried first, and kept if it fits and is trusted enough: if the median diameter lies within the middle two
/// thirds of the range of the training objects on a logarithmic scale, or within a factor of 1.26 of their median. It is
/// also kept if nothing is found at any scale. A part of a small image that cuts nearly all of its objects is looked at
/// twice as large. The same image gives the same scale on every run.
///
/// Smooth and noisy images are exceptions. If pixels that are two and four apart differ so little that the image is
/// sampled more finely than its detail needs, while large training objects are sharp, and its median diameter is more
/// than 1.26 times that of the training objects, it is reduced to that of the training objects. A still smoother image
/// whose median diameter is more than 0.85 times that of the training objects is reduced to 0.85 times. An image whose
/// neighbouring pixels are unrelated is not enlarged, because enlarged noise looks like small objects.
FoundScale find_scale(const Exec&, const Method&, const Predictor&, const Source&, const Appearance& trained);
/// The same for an image that is read in parts, with at most max_bytes of its pixels in memory at a time.
FoundScale find_scale(const Exec&, const Method&, const Predictor&, const LargeImage&, const Appearance& trained,
                      int64_t max_bytes);

}  // namespace basin

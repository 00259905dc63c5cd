#pragma once
#include <functional>
#include <string>
#include <utility>

#include "data/dataset/normalise.h"
#include "kernels/image/resized_part.h"
#include "models/method.h"

namespace basin {

/// How an image is segmented, apart from the method's own settings.
struct SegmentOptions {
  TilingOptions tiling;
  double scale = 1;  // scale at which the network sees an image: 0.5 halves width and height
  bool tta = false;  // average the maps over the eight views of an image (test-time augmentation)
};

/// A segmented image, with the seconds that each stage took.
struct Segmentation {
  Instances instances;
  double network_seconds = 0, decode_seconds = 0;
};

/// The network's maps of an image cannot be decoded.
class UnusableMaps : public Error {
 public:
  using Error::Error;
};

/// Throws UnusableMaps if one of the maps contains NaN or values beyond 1e30, which no decoding can follow: the
/// network diverged in training, or the image is unlike any that it was made for.
void check_maps(const Exec&, const Maps&);

/// A part [C, height, width] of an image, from its pixel (y, x) on, on the device that segments.
Tensor part_of(const Exec&, const Source&, int y, int x, int height, int width);

/// Height and width of an image as the network sees it at a scale. Throws one sentence if these are more pixels than an
/// image may have.
std::pair<int, int> seen_size(int height, int width, double scale);

/// An image [C, H, W] as the network sees it at a scale: low-pass filtered if it shrinks, its sides rounded.
Tensor at_scale(const Exec&, const Tensor& image, double scale);

/// Whether the maps are resized to the size of the image before they are decoded. Otherwise the labels are.
bool resizes_maps(const Method&, double scale);

/// A map, or `part` of it, resized to height x width pixels, which are those of the image or a part of it. Vectors are
/// scaled by the ratio of the sides of the whole image and the whole map.
Tensor at_image_size(const Exec&, const Tensor& map, const MapSpec&, int height, int width,
                     const kernels::ResizedPart& part = {});

/// The method's maps of a whole image. If the network saw it smaller, scalable maps are resized to the image, so that
/// outlines are smooth; the others are not, and their labels are enlarged instead. Throws one sentence if the image is
/// too large to be decoded.
Maps predict_source(const Exec&, const Method&, const Predictor&, const Source&, const SegmentOptions&);

/// Image to instances: runs the network and decodes its maps with the method's settings. Exceptions do not name the
/// image. `see` is called with the maps of the whole image, which are freed during decoding, or on a GPU after it.
Segmentation segment_source(const Exec&, const Method&, const Predictor&, const Source&, const SegmentOptions&,
                            const std::function<void(const Maps&)>& see = {});

/// The probability of foreground of each pixel of the image, row by row, by a method that has a foreground_logit(). A
/// logit of another size is resized to the image first.
std::vector<float> foreground_probability(const Exec&, const Method&, const Maps&);

/// The method's map that is a vector field, channels x and y; empty if there is none.
std::string field_map(const Method&);
/// That map [2, height, width] at the size of the image, but with lengths in pixels that the network saw.
std::vector<float> field_of(const Exec&, const Method&, const Maps&);

/// Decodes maps and resizes the instances to Maps::height and width.
Instances decode_to_size(const Exec&, const Method&, Maps);

/// Resizes labels and masks by centred nearest neighbours if their size differs; a size of 0 leaves them unchanged.
/// Objects without a visible pixel at that size are left out.
Instances at_size(Instances, int height, int width);

}  // namespace basin

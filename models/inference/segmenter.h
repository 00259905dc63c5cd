#pragma once
#include <functional>
#include <string>

#include "data/dataset/normalise.h"
#include "models/method.h"

namespace basin {

/// How an image is segmented, beside the method's own settings.
struct SegmentOptions {
  TilingOptions tiling;
  double scale = 1;  // at which the network sees an image: 0.5 shows it half as wide and high
  bool tta = false;  // maps are averaged over the eight views of an image (test-time augmentation)
};

/// One image segmented, with the seconds each stage took.
struct Segmentation {
  Instances instances;
  double network_seconds = 0, decode_seconds = 0;
};

/// Calls f. What it throws is thrown again with the image's name before it, as the same kind of error.
template <class F>
auto with_name(const std::string& name, const F& f) {
  try {
    return f();
  } catch (const OutOfMemory& e) {
    throw OutOfMemory(name + ": " + e.what());
  } catch (const Error& e) {
    throw Error(name + ": " + e.what());
  }
}

/// A part [C, height, width] of an image, from its pixel (y, x) on, on the device that segments.
Tensor part_of(const Exec&, const Source&, int y, int x, int height, int width);

/// An image [C, H, W] as the network sees it at a scale: smoothed as far as it shrinks, its sides rounded.
Tensor at_scale(const Exec&, const Tensor& image, double scale);

/// The method's maps of a whole image. Where the network saw it smaller, maps that can be are brought back to the size
/// of the image, so that outlines are smooth; others stay, and their labels are brought to that size. Throws one
/// sentence where the image is too large to be decoded.
Maps predict_source(const Exec&, const Method&, const Predictor&, const Source&, const SegmentOptions&);

/// Image to instances: runs the network and decodes its maps with the method's settings. What it throws does not name
/// the image. `see` is called with the maps of the whole image, which are let go while they are decoded, or on a GPU
/// after it.
Segmentation segment_source(const Exec&, const Method&, const Predictor&, const Source&, const SegmentOptions&,
                            const std::function<void(const Maps&)>& see = {});

/// The instances of maps at the size that the maps ask for.
Instances decode_to_size(const Exec&, const Method&, Maps);

/// Instances whose labels have another size are brought to this one by centred nearest neighbours; 0: left as they are.
Instances at_size(Instances, int height, int width);

}  // namespace basin

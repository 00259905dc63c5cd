#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "engine/json_fwd.h"

namespace basin {

/// What the images that a model was trained on look like to its network, and how large their objects are: kept in the
/// model file, so that segmentation can say when an image is unlike them.
struct Appearance {
  /// Of an image: the middle, and the difference between the percentiles 99.8 and 1, of its normalised values, all
  /// channels together. The range that holds nine of ten training images.
  double low_middle = 0, high_middle = 0, low_contrast = 0, high_contrast = 0;
  /// Diameters 2 sqrt(area / pi) of objects in pixels: percentiles 5, 50 and 95.
  double small_diameter = 0, diameter = 0, large_diameter = 0;
};

/// The diameters of objects by their areas in pixels; those of no pixel are left out.
std::vector<double> diameters_of(const std::vector<int64_t>& areas);

Appearance appearance_of(const std::vector<Example>&);
Json to_json(const Appearance&);
/// Of a model's description; none where it has none that can be read.
std::optional<Appearance> appearance_in(const Json& info);

/// The middle and the contrast of one image, as above.
struct Brightness {
  double middle = 0, contrast = 0;
};
Brightness brightness_of(const Source&);

/// What a user should know about an image that was segmented, as sentences without the image's name: that it is nearly
/// black, flat or saturated to the network, that nothing was found, or that objects are far smaller or larger than
/// those of the training. `scale`: at which the network saw the image. Without an appearance of the training only what
/// needs none is said.
std::vector<std::string> remarks_on(const Source&, const Labels&, const std::optional<Appearance>&, double scale,
                                    const Normalisation&);

}  // namespace basin

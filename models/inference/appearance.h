#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "engine/json_fwd.h"

namespace basin {

/// The range of brightness and of object sizes in the images that a model was trained on, and the size of their pixels,
/// as its network sees them.
/// Stored in the model file, so that segmentation can warn about unlike images.
struct Appearance {
  /// The middle of an image's normalised values, all channels together, and their contrast: the 99.8th minus the 1st
  /// percentile. Each as the range that contains nine out of ten training images.
  double low_middle = 0, high_middle = 0, low_contrast = 0, high_contrast = 0;
  /// Diameters 2 sqrt(area / pi) of objects in pixels: percentiles 5, 50 and 95.
  double small_diameter = 0, diameter = 0, large_diameter = 0;
  double pixel_size = 0;  // um; 0: unknown, or not the same in all images
};

/// The diameters of objects by their areas in pixels; those of no pixel are left out.
std::vector<double> diameters_of(const std::vector<int64_t>& areas);

/// Without a pixel size, which a network's scale changes: see common_pixel_size().
Appearance appearance_of(const std::vector<Example>&);
/// The pixel size (um) that the files of all images give, equal to 1 %; 0 if there is none.
double common_pixel_size(const std::vector<Example>&);
Json to_json(const Appearance&);
/// Reads it from a model's description; none if it is missing or invalid.
std::optional<Appearance> appearance_in(const Json& info);

/// Whether a model's description records the sizes of its training objects, which a search for the scale needs.
bool has_object_sizes(const Json& info);
/// Whether `segment` searches for the scale of each image by default: the description says "scale": "auto".
bool searches_scale(const Json& info);

/// The scales at which a network may see images.
inline constexpr double min_scale = 0.01, max_scale = 100;

/// The scale at which `segment` shows images to the network by default, unless it searches for it: the one that the
/// model was trained at, or that is stored with it.
double stored_scale(const Json& info);

/// The middle and the contrast of one image, as in Appearance.
struct Brightness {
  double middle = 0, contrast = 0;
  /// Pixels far above the rest, such as a speck of dust or a scale bar: their share, at most 0.02, and how many times
  /// as far from the middle they are as the brightest of the others; 0: there are none.
  double speck_share = 0, speck_distance = 0;
  double grey_span = 0;  // those of the Source
};
Brightness brightness_of(const Source&);
/// At most this many rows and columns of an image are examined, evenly spaced from the first one on.
inline constexpr int examined_rows = 256, examined_columns = 256;

/// Warnings about a segmented image, as sentences without the image's name: its normalised values are nearly black,
/// flat or have far too much contrast; normalisation spreads a few grey levels over the whole range; a few very bright
/// pixels make all others dark; its background is bright although that of the training images is dark, or the reverse;
/// no object was found; objects are far smaller or larger than in training. `scale`: the scale at which the network saw
/// the image. `advises_diameter`: whether the last warning suggests --diameter, which does not help if the user has
/// given it. Without an Appearance only the warnings that need none.
std::vector<std::string> remarks_on(const Source&, const Labels&, const std::optional<Appearance>&, double scale,
                                    const Normalisation&, bool advises_diameter = true);
/// The same for an image whose objects have these areas.
std::vector<std::string> remarks_on(const Brightness&, const std::vector<int64_t>& areas,
                                    const std::optional<Appearance>&, double scale, const Normalisation&,
                                    bool advises_diameter = true);

}  // namespace basin

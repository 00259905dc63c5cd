#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/objects/drop_objects.h"
#include "models/inference/appearance.h"
#include "models/inference/segmenter.h"

namespace basin {

/// How all images of a run are segmented.
struct SegmentationPlan {
  Normalisation norm;
  SegmentOptions options;
  bool finds_scale = false;           // searches for the scale of each image, instead of the one in `options`
  bool scale_from_size = false;       // that in `options` follows from a size that the user gave
  double pixel_size = 0;              // um; the user's; 0: none was given
  std::optional<Appearance> trained;  // what the model was trained on; the search for the scale needs it
  ObjectFilter filter;
};

/// How images are segmented without any option: normalised as in training, at the scale that the model file gives, or
/// searched for if it says so. Throws one sentence if that scale is invalid.
SegmentationPlan default_plan(const Method&, const Json& info);

/// The objects of one image that the filter keeps.
struct FoundObjects {
  Instances instances;
  Dropped dropped;
  std::vector<std::string> remarks;  // see remarks_on(), of the objects before the filter, and pixel_size_remark()
  double network_seconds = 0, decode_seconds = 0;
};

/// Segments an image by a plan, at a scale, and applies the filter. Exceptions do not name the image. `see` as in
/// segment_source().
FoundObjects find_objects(const Exec&, const Method&, const Predictor&, const Source&, const SegmentationPlan&,
                          double scale, const std::function<void(const Maps&)>& see = {});

/// A remark on an image whose file gives another pixel size than the user; none if they agree within 1 %, or if one of
/// them is unknown.
std::vector<std::string> pixel_size_remark(const Stack&, const SegmentationPlan&);

/// The remark on an image in which the search for the scale found no objects.
inline constexpr const char* no_scale_remark =
    "no scale was found at which its objects have the size of training objects, so scale 1 is used";

}  // namespace basin

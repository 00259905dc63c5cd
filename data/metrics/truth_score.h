#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "data/dataset/ignored.h"
#include "data/metrics/metrics.h"

namespace basin {

/// The predicted objects that are scored against a truth with ignored pixels.
struct CountedObjects {
  Objects objects;
  std::vector<int32_t> numbers;  // of each of them: its number before, from 1
};

/// The rule for pixels about which nothing is known, that of panoptic segmentation for void pixels (Kirillov et al.,
/// CVPR 2019, section 4.1): predicted objects lose their ignored pixels; then those that had more than half of their
/// pixels ignored are left out, unless what remains of them has an IoU above 0.5 with a true object. Without ignored
/// pixels all objects stay as they are. Overlapping predictions are judged one by one.
CountedObjects counted_objects(const Truth&, const Objects& prediction);

/// overlap() of either kind of objects.
Overlap overlap(const Objects& truth, const Objects& prediction);

/// Scores one image: counted_objects() against the true ones. Scores of foreground pixels are over all pixels that are
/// not ignored, whether their object is counted or not. `confidence`: one value per predicted object, counted or not.
ImageScore score(const Truth&, const Objects& prediction, std::span<const double> confidence = {});

}  // namespace basin

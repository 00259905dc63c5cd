#pragma once
#include "data/dataset/dataset.h"

namespace basin {

/// The examples as a network sees them at a scale: normalised and then resized as `segment` resizes an image, by
/// at_scale(). Labels are resized by centred nearest neighbours; objects that lose all their pixels are removed.
std::vector<Example> scaled_examples(const std::vector<Example>&, double scale);

}  // namespace basin

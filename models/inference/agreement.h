#pragma once
#include <optional>

#include "models/inference/segmenter.h"

namespace basin {

/// How well a model's results for an image agree with those for changed versions of it that should give the same
/// objects: object_f1 of the two results, which is symmetric. None if neither contains an object.
struct Agreement {
  /// Mean over the two mirrored images; none if the method averages views anyway.
  std::optional<double> flips;
  /// Mean over the results at 0.8 and 1.25 times the scale; none if the network sees every image at one size.
  std::optional<double> scales;
};

/// The mean of the defined values; none if there are none.
std::optional<double> mean_of_defined(const std::vector<std::optional<double>>&);

/// Of the labels that a model gave for a whole image with these options.
Agreement agreement_of(const Exec&, const Method&, const Predictor&, const Source&, const Normalisation&,
                       const SegmentOptions&, const Labels&);

}  // namespace basin

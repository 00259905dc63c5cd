#pragma once
#include <optional>

#include "models/inference/segmenter.h"

namespace basin {

/// How many of the objects that a model finds in an image it finds again where the image is changed in a way that
/// should not matter: object_f1 of the two results, whichever is held for true. None: no object is found in any.
struct Agreement {
  /// Mean over the image mirrored left to right and top to bottom; none if the method averages views anyway.
  std::optional<double> flips;
  /// Mean over the network seeing it at 0.8 and at 1.25 times the scale; none if it sees every image at one size.
  std::optional<double> scales;
};

/// The mean of the values that there are; none where there is none.
std::optional<double> mean_of_defined(const std::vector<std::optional<double>>&);

/// Of the labels that a model gave for a whole image with these options.
Agreement agreement_of(const Exec&, const Method&, const Predictor&, const Source&, const Normalisation&,
                       const SegmentOptions&, const Labels&);

}  // namespace basin

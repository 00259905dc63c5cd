#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "models/inference/validation.h"
#include "models/methods/vector_fields.h"

namespace basin {

/// The values that are tried for decoding parameters, in every combination; all others are the model's.
struct DecodingGrid {
  std::vector<double> threshold{0.4, 0.5};
  std::vector<int> steps{25, 50, 75, 100};
  std::vector<double> eps{1.5, 1.75, 2, 2.25};
  std::vector<int> min_samples{5, 10, 15, 20};
  std::vector<kernels::NoiseRule> noise{kernels::NoiseRule::none, kernels::NoiseRule::majority};
};

/// `present`, then every combination of the grid but that. Throws one sentence for what cannot be used.
std::vector<VectorFieldDecoding> decodings_to_try(const VectorFieldDecoding& present, const DecodingGrid&);

/// Scores the instances that each decoding makes of the maps of one image. Neighbours in the list that differ in the
/// clustering alone share the integration.
std::vector<ImageScore> score_decodings(const Exec&, const Maps&, const Labels& truth,
                                        const std::vector<VectorFieldDecoding>&);

/// The scores of each decoding on labelled images. The network, ready to predict, sees each image once. `seen` is
/// called after each image.
std::vector<ValidationScores> try_decodings(const Exec&, const VectorFields&, const std::vector<Example>&,
                                            const std::vector<VectorFieldDecoding>&, Dialect,
                                            const std::function<void(const Example&)>& seen = {});

/// What the best decoding is best in: "AP50", "AP75", "AP90" or "AP50:95".
double criterion(const ValidationScores&, const std::string& by);

/// Numbers of the decodings, the best first; equally good ones in the order of the list, whose first, the present one,
/// so wins a tie.
std::vector<size_t> ranking(const std::vector<ValidationScores>&, const std::string& by);

}  // namespace basin

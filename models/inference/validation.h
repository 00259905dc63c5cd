#pragma once
#include <span>

#include "data/metrics/metrics.h"
#include "engine/json_fwd.h"

namespace basin {

/// The validation scores in a model's description: means over images by the rules of a dialect.
struct ValidationScores {
  Dialect dialect = Dialect::stardist;
  double ap50 = 0, ap75 = 0, ap90 = 0, ap = 0;  // ap: over .50:.05:.95. 0 if no image defines a score
  double objects = 0;                           // predicted - true
};
ValidationScores validation_scores(std::span<const ImageScore>, Dialect = Dialect::stardist);

/// The APs under their full names.
Json to_json(const ValidationScores&);

/// "AP50 (stardist, per-image mean, >=)" of the metric that is called "AP50" in a dialect.
std::string full_name(const std::string& key, Dialect);

}  // namespace basin

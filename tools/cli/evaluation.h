#pragma once
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "data/metrics/metrics_files.h"
#include "engine/json_fwd.h"

namespace basin::tools {

/// A folder of predictions with its truth, as given.
struct Subset {
  std::string prediction, truth;
  size_t images = 0;
};

/// What `basin evaluate` found out.
struct Evaluation {
  std::vector<Subset> subsets;     // their images follow one another in the lists below
  std::vector<LabelPair> pairs;    // one for each image
  std::vector<ImageScore> scores;  // of each pair
  Dialect dialect = Dialect::stardist;
  std::vector<Metric> metrics;
  std::vector<Curve> curves;

  /// The images of each subset.
  std::vector<size_t> sizes() const;
};

/// All scores: of all images together, in every aggregation, and of each image. An undefined value is null.
Json json_of(const Evaluation&);
/// CSV, one row per image; an undefined value is an empty field.
std::string table_of(const Evaluation&);
/// A line for each metric and aggregation on stdout, by its full name; an undefined value is a dash.
void print(const Evaluation&);

}  // namespace basin::tools

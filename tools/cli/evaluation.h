#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "data/metrics/metrics_files.h"
#include "engine/json_fwd.h"

namespace basin::tools {

/// A folder of predictions and its truth, as given on the command line.
struct Subset {
  std::string prediction, truth;
  size_t images = 0;
};

/// The scores that `basin evaluate` computes.
struct Evaluation {
  std::vector<Subset> subsets;     // in this order in the lists below
  std::vector<LabelPair> pairs;    // one per image
  std::vector<ImageScore> scores;  // one per pair
  Dialect dialect = Dialect::stardist;
  std::vector<Metric> metrics;
  std::vector<Curve> curves;
  std::optional<int> ignore_label;  // the value of true label images whose pixels are left out of the scores

  /// The number of images of each subset.
  std::vector<size_t> sizes() const;
};

/// All scores: of all images together in every aggregation, and of each image. Undefined values are null.
Json json_of(const Evaluation&);
/// CSV with one row per image; undefined values are empty.
std::string table_of(const Evaluation&);
/// Prints one line per metric and aggregation to stdout, by its full name; undefined values are a dash.
void print(const Evaluation&);

}  // namespace basin::tools

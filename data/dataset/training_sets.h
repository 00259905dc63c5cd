#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "data/dataset/sampling.h"

namespace basin {

/// A folder or a CSV list of training images, with the weight that was given for it.
struct TrainingSet {
  std::filesystem::path path;
  std::optional<double> weight;
};

/// Parses "PATH" or "PATH:WEIGHT". A text that is itself an existing path has no weight. Throws one sentence if the
/// weight is a number that is not above 0.
TrainingSet parse_training_set(const std::string&);

/// The examples of several sets in one list, and the share of the samples that each set gets, in the order of the sets.
struct MergedSets {
  std::vector<Example> examples;
  std::vector<double> shares;
};

/// Merges the examples of several sets. Without any weight every image is drawn equally often, or with object crops
/// every object. Otherwise the shares of the sets are in proportion to their weights, where a set without a weight
/// counts as 1, and the images of a set (with object crops: its objects) are drawn equally often; Example::weight is
/// set accordingly, with a mean of 1. Images that `sampling` never draws do not count, and a set without any other has
/// the share 0. The result does not depend on the order of the sets: they are sorted by their fingerprints. Throws one
/// sentence that names two sets with the same content. `sets`, `weighted`: of the same length.
MergedSets merge_sets(std::vector<std::vector<Example>> sets, const std::vector<TrainingSet>& weighted, Sampling);

}  // namespace basin

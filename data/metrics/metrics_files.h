#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"

namespace basin {

struct LabelPair {
  std::string stem;
  Pair truth, prediction;
};

struct LabelPairs {
  std::vector<LabelPair> pairs;              // one for each truth, by stem
  std::vector<std::filesystem::path> extra;  // predictions that no truth asks for
};

/// Pairs two sources of labels by stem, each as find_labels takes them: any layout of a data set, a folder of label
/// images, a CSV list. Two label images are a pair whatever their names. Throws one sentence with the name for what
/// find_labels refuses, or if a truth has no prediction.
LabelPairs pair_labels(const std::filesystem::path& prediction, const std::filesystem::path& truth);

/// Where the confidences of predicted labels lie: `<stem>_scores.csv` beside the label image.
std::filesystem::path confidence_path(const Pair& prediction);

/// The confidences of the objects of a label image, by ascending label: a CSV with the columns `label` and `score`, one
/// row for each of `objects`. Throws one sentence with the file's name and line if it is not that.
std::vector<double> read_confidence(const std::filesystem::path&, int objects);

}  // namespace basin

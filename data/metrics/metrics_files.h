#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"

namespace basin {

struct LabelPair {
  std::string stem;
  Pair truth, prediction;
};

struct LabelPairs {
  std::vector<LabelPair> pairs;              // one per truth, by stem
  std::vector<std::filesystem::path> extra;  // predictions without a truth
};

/// Pairs two sources of labels by stem. Each is read by find_labels: any layout of a data set, a folder of label
/// images, a CSV list. Two single label images are a pair whatever their names. Results of `segment --recursive` in
/// folders below `prediction` are paired by find_labels_like, and named by their paths. Throws one sentence with the
/// name for whatever find_labels refuses, or if a truth has no prediction.
LabelPairs pair_labels(const std::filesystem::path& prediction, const std::filesystem::path& truth);

/// The file with the confidences of predicted labels: `<stem>_scores.csv` beside the label image.
std::filesystem::path confidence_path(const Pair& prediction);

/// The index of the plane that is read of a stack of labels, as `segment` numbers the planes; none for a single image.
/// Throws like planes_in_labels.
std::optional<int64_t> chosen_plane(const Pair& labels);

/// Reads the confidences of the objects of a label image, by ascending label: a CSV with the columns `label` and
/// `score`, one row for each of `objects`; of a `plane` of a stack, the rows with this number in the column `plane`.
/// Throws one sentence with the file's name and line if it is invalid.
std::vector<double> read_confidence(const std::filesystem::path&, int objects, std::optional<int64_t> plane = {});

}  // namespace basin

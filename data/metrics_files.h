#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace basin {

struct LabelPair {
  std::string stem;
  std::filesystem::path truth, prediction;
};

struct LabelPairs {
  std::vector<LabelPair> pairs;              // one for each truth, by stem
  std::vector<std::filesystem::path> extra;  // predictions that no truth asks for
};

/// Pairs the label images (.png, .tif, .tiff, .npy) of two folders by stem. In a folder that has any `<stem>_masks.*`,
/// those alone are label images; in another, every image but `*_overlay.*`. Hidden files are left out. Two files are a
/// pair too. Throws one sentence with the name if a folder does not exist or has no label image, if two files of a
/// folder have the same stem, or if a truth has no prediction.
LabelPairs pair_labels(const std::filesystem::path& prediction, const std::filesystem::path& truth);

/// Where the confidences of a label image lie: `<stem>_scores.csv` beside it.
std::filesystem::path confidence_path(const std::filesystem::path& labels);

/// The confidences of the objects of a label image, by ascending label: a CSV with the columns `label` and `score`, one
/// row for each of `objects`. Throws one sentence with the file's name and line if it is not that.
std::vector<double> read_confidence(const std::filesystem::path&, int objects);

}  // namespace basin

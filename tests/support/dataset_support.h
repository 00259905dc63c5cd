#pragma once
// Published data sets, for tests of how well perfect maps can be decoded. They are not part of the source tree: the
// environment variable BASIN_DATASETS names the folder that contains them.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "data/metrics/metrics.h"

namespace basin::test {

/// The true labels of a data set, or only those of one size if given. Prints a message and returns nothing if it is
/// absent.
inline std::vector<Labels> dataset_labels(const std::string& name, int height = 0, int width = 0) {
  const char* const folder = std::getenv("BASIN_DATASETS");
  if (!folder || !std::filesystem::exists(std::filesystem::path(folder) / name)) {
    MESSAGE("not run: BASIN_DATASETS names no folder that holds ", name);
    return {};
  }
  std::vector<Labels> all;
  for (const Pair& pair : find_pairs(std::filesystem::path(folder) / name)) {
    Labels labels = read_pair_labels(pair);
    if (height == 0 || (labels.height == height && labels.width == width)) all.push_back(std::move(labels));
  }
  return all;
}

/// Each pixel takes the label of the source pixel that contains its centre; ids are renumbered without gaps.
inline Labels resize_nearest(const Labels& from, int height, int width) {
  std::vector<int64_t> ids;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      ids.push_back(from(int((y + .5) * from.height / height), int((x + .5) * from.width / width)));
  return compact(height, width, std::move(ids));
}

/// AP50 pooled over all images, AJI and SBD averaged over images.
struct OracleScores {
  double ap50 = 0, aji = 0, sbd = 0;
};
inline OracleScores oracle_scores(const std::vector<ImageScore>& scores) {
  OracleScores mean;
  const auto value = [](const Quotient& q) { return q.below > 0 ? q.above / q.below : 0.0; };
  for (const ImageScore& s : scores) {
    mean.aji += value(s.aji) / double(scores.size());
    mean.sbd += std::min(value(s.best_dice_prediction), value(s.best_dice_truth)) / double(scores.size());
  }
  mean.ap50 = average_precision(pool(scores), .5, Dialect::stardist).value_or(0);
  return mean;
}
inline std::string describe(const OracleScores& s) {
  return "AP50 " + std::to_string(s.ap50) + ", AJI " + std::to_string(s.aji) + ", SBD " + std::to_string(s.sbd);
}

}  // namespace basin::test

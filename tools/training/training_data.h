#pragma once
#include <optional>
#include <string>
#include <vector>

#include "data/checks/training_set.h"
#include "data/dataset/dataset.h"
#include "data/dataset/sampling.h"
#include "engine/json_fwd.h"
#include "models/method.h"

namespace basin::tools {

/// Where the images of a training run come from.
struct TrainingDataOptions {
  std::vector<std::string> data;  // PATH or PATH:WEIGHT each
  std::string val;                // if empty, a part of each of `data` is held out
  double val_fraction = 0.1;
  std::optional<int> ignore_label;
  PlaneChoice choice;  // of each image and its labels
};

struct TrainingData {
  std::vector<Example> train, validation;
  std::vector<std::string> paths;  // of `data`, without weights
  std::vector<size_t> images;      // training images of each
  std::vector<double> shares;      // of the samples, of each

  /// For run.json: path, number of training images and share of each set.
  Json sets() const;
};

/// How a method sees the images, apart from their normalisation. Throws one sentence if it cannot be trained on crops
/// of this size, or with this scale.
CheckOptions check_options(const Method&, int crop, double scale);

/// Reads the images, merged by merge_sets(), and reports on stderr which files were paired, converted or left out, and
/// what is suspicious about them: validation images that are also training images, images that occur in several sets,
/// and labels that seem to be binary masks. `channels`: of all images; 0: as many as the image with the most. Only the
/// normalisation, sampling and layers of the SampleSpec are used.
TrainingData read_training_data(const TrainingDataOptions&, int channels, const SampleSpec&);

}  // namespace basin::tools

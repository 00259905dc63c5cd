#pragma once
#include <string>
#include <vector>

#include "data/metrics/metrics.h"
#include "data/report/report.h"
#include "models/training/trainer.h"

namespace basin::tools {

/// The page of a training run: learning curves from metrics.csv, pictures, scores and counts of the newest validation,
/// and the settings in run.json.
class TrainingReport {
 public:
  /// `shown`: validation images with pictures. Of a larger image only the middle 512 x 512 pixels are shown.
  TrainingReport(RunFiles files, int shown) : files_(std::move(files)), shown_(shown) {}

  /// Adds an image of a validation; the first one after write() begins a new validation.
  void add(const Example&, const Labels& prediction, const ImageScore&);
  /// Writes RUN/report.html.
  void write();
  std::filesystem::path path() const { return files_.folder / "report.html"; }

 private:
  RunFiles files_;
  int shown_;
  bool complete_ = false;  // the lists below hold a whole validation
  std::vector<ImageScore> scores_;
  std::vector<ReportItem> items_;
};

}  // namespace basin::tools

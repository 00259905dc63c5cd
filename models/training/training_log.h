#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/report/event_file.h"

namespace basin {

/// The numbers of a save: those that were not computed have no value.
struct MetricsRow {
  int64_t step = 0, epoch = 0;
  std::vector<std::pair<std::string, std::optional<double>>> values;  // with their columns in metrics.csv
};

/// The row for TensorBoard: "rate" as it is, "loss" as loss/total, other losses as loss/NAME, and val_NAME as
/// validation/NAME. `wall_time`: seconds since 1970.
ScalarEvent to_event(const MetricsRow&, double wall_time);

/// metrics.csv: one row per save. --resume removes the rows after the step that the run continues from.
class MetricsFile {
 public:
  /// Reads the rows up to `resumed_step`, if any; 0: starts a new file.
  MetricsFile(std::filesystem::path, int64_t resumed_step);
  /// Adds a row, and the header if the file is new. Written under a temporary name and renamed.
  void add(const MetricsRow&);

 private:
  std::filesystem::path path_;
  std::string text_;
};

/// Reports progress on one line of stderr: updated in place on a terminal, a new line every few seconds in a log.
class Progress {
 public:
  Progress(int64_t first_step, int64_t last_step);
  void show(int64_t step, double loss, int batch);
  /// Writes a sentence, if it is not empty, on a line of its own.
  void say(const std::string& sentence) const;

 private:
  int64_t first_, last_;
  bool terminal_;
  double start_, shown_;
};

}  // namespace basin

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

namespace basin {

/// metrics.csv: one row per save; after --resume cut back to the step that the run goes on from.
class MetricsFile {
 public:
  /// Reads the rows up to `resumed_step` where there are any; 0: the file begins anew.
  MetricsFile(std::filesystem::path, int64_t resumed_step);
  /// The header is used where the file has none yet. Written under a temporary name and renamed.
  void add(const std::string& header, const std::string& row);

 private:
  std::filesystem::path path_;
  std::string text_;
};

/// One line on stderr that says how far a run is: again and again on a terminal, every few seconds in a log.
class Progress {
 public:
  Progress(int64_t first_step, int64_t last_step);
  void show(int64_t step, double loss, int batch);

 private:
  int64_t first_, last_;
  bool terminal_;
  double start_, shown_;
};

}  // namespace basin

#include "models/training/training_log.h"

#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "engine/clock.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin {

MetricsFile::MetricsFile(std::filesystem::path path, int64_t resumed_step) : path_(std::move(path)) {
  if (resumed_step == 0 || !std::filesystem::exists(path_)) return;
  const std::string before = read_text(path_);
  if (!before.starts_with("step,"))
    refuse(path_.string(), " is damaged: its first line does not name its columns; remove it to begin a new one");
  std::istringstream lines(before);
  for (std::string line; std::getline(lines, line);)
    if (text_.empty() || std::atoll(line.c_str()) <= resumed_step) text_ += line + '\n';
}

ScalarEvent to_event(const MetricsRow& row, double wall_time) {
  ScalarEvent event{wall_time, row.step, {}};
  for (const auto& [column, value] : row.values) {
    const std::string name = column.starts_with("val_") ? "validation/" + column.substr(4)
                             : column == "rate"         ? column
                             : column == "loss"         ? "loss/total"
                                                        : "loss/" + column;
    if (value) event.values.emplace_back(name, float(*value));
  }
  return event;
}

void MetricsFile::add(const MetricsRow& row) {
  std::string header = "step,epoch";
  std::ostringstream line;
  line.precision(9);
  line << row.step << ',' << row.epoch;
  for (const auto& [column, value] : row.values) {
    header += ',' + column;
    line << ',';
    if (value) line << *value;
  }
  if (text_.empty()) text_ = header + '\n';
  text_ += line.str() + '\n';
  write_atomically(path_, text_);
}

Progress::Progress(int64_t first_step, int64_t last_step)
    : first_(first_step), last_(last_step), terminal_(isatty(2)), start_(clock_seconds()), shown_(start_) {}

void Progress::show(int64_t step, double loss, int batch) {
  const double t = clock_seconds(), every = terminal_ ? 0.5 : 10;
  if (t - shown_ < every && step < last_) return;
  shown_ = t;
  const double rate = double(step - first_) / std::max(t - start_, 1e-9);
  std::fprintf(stderr, "%sstep %lld/%lld  loss %.4f  %.1f images/s  %.0f s left%s", terminal_ ? "\r\x1b[K" : "",
               static_cast<long long>(step), static_cast<long long>(last_), loss, rate * batch,
               double(last_ - step) / std::max(rate, 1e-9), terminal_ && step < last_ ? "" : "\n");
  std::fflush(stderr);
}

void Progress::say(const std::string& sentence) const {
  if (!sentence.empty()) std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\x1b[K" : "", sentence.c_str());
}

}  // namespace basin

#pragma once
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include "engine/clock.h"

namespace basin::tools {

/// Reports on stderr how far a stage is, and how long it will still take.
class Progress {
 public:
  /// Whether a stage that ends before its first report is reported as done.
  enum class Short { reported, silent };
  Progress(std::string name, std::string stage, double begin, Short ends = Short::reported, double every = 10)
      : name_(std::move(name)),
        stage_(std::move(stage)),
        begin_(begin),
        every_(every),
        reports_end_(ends == Short::reported),
        start_(clock_seconds()),
        last_(start_) {}

  /// `share`: of the stage, 0 to 1.
  void operator()(double share) {
    const std::string text = line(share);
    if (!text.empty()) std::fprintf(stderr, "basin: %s\n", text.c_str());
  }
  /// The report that is due; empty if none is.
  std::string line(double share) {
    const double now = clock_seconds();
    const bool is_end = share >= 1;
    if (is_end ? !reports_end_ && !has_reported_ : now - last_ < every_) return {};
    if (share <= begin_) return {};
    last_ = now, has_reported_ = true;
    const double left = (now - start_) / (share - begin_) * (1 - share);
    return fmt::format("{}: {} {:.0f} %", name_, stage_, 100 * share) + (is_end ? "" : ", " + in_time(left) + " left");
  }
  bool has_reported() const { return has_reported_; }

 private:
  static std::string in_time(double seconds) {
    const auto s = int64_t(std::ceil(seconds));
    if (s < 100) return fmt::format("{} s", s);
    if (s < 6000) return fmt::format("{} min", (s + 59) / 60);
    return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  }

  std::string name_, stage_;
  double begin_, every_;
  bool reports_end_;  // even if nothing was reported before
  bool has_reported_ = false;
  double start_, last_;
};

}  // namespace basin::tools

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
  Progress(std::string name, std::string stage, double begin)
      : name_(std::move(name)), stage_(std::move(stage)), begin_(begin), start_(clock_seconds()), last_(start_) {}

  /// `share`: of the stage, 0 to 1.
  void operator()(double share) {
    const double now = clock_seconds(), between = share < 1 ? 10 : 0;
    if (now - last_ < between || share <= begin_) return;
    last_ = now;
    const double left = (now - start_) / (share - begin_) * (1 - share);
    std::fprintf(stderr, "basin: %s: %s %.0f %%%s\n", name_.c_str(), stage_.c_str(), 100 * share,
                 share < 1 ? (", " + in_time(left) + " left").c_str() : "");
  }

 private:
  static std::string in_time(double seconds) {
    const auto s = int64_t(std::ceil(seconds));
    if (s < 100) return fmt::format("{} s", s);
    if (s < 6000) return fmt::format("{} min", (s + 59) / 60);
    return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  }

  std::string name_, stage_;
  double begin_, start_, last_;
};

}  // namespace basin::tools

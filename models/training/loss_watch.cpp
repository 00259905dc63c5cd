#include "models/training/loss_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/text.h"

namespace basin {

std::string LossWatch::add(const std::vector<std::string>& names, const std::vector<double>& means, int64_t steps,
                           int64_t step) {
  const double mean = means.back();
  if (!first_ && mean > 0) first_ = mean, first_step_ = step;  // a batch without anything to learn has no loss
  sum_ += mean * double(steps), steps_ += steps;
  if (steps_ >= window) finish_window();
  for (size_t k = 0; k < means.size(); ++k) {
    if (std::isfinite(means[k]) || std::find(not_finite_.begin(), not_finite_.end(), names[k]) != not_finite_.end())
      continue;
    not_finite_.push_back(names[k]);
    return fmt::format(
        "by step {} the loss term {} is no longer finite, although the sum of the terms is: try a lower --lr, or "
        "--clip",
        step, names[k]);
  }
  if (grown_ < 2 || said_) return {};
  said_ = true;
  return fmt::format(
      "at step {} the loss is {:.3g}, and at step {} it was {:.3g}: the training diverges; stop it and try a "
      "lower --lr, or --clip",
      step, last_, first_step_, *first_);
}

void LossWatch::finish_window() {
  last_ = sum_ / double(steps_);
  if (!first_window_ && last_ > 0) first_window_ = last_;
  grown_ = has_grown(last_) ? grown_ + 1 : 0;
  ++windows_;
  sum_ = 0, steps_ = 0;
}

std::string LossWatch::at_end() const {
  LossWatch whole = *this;
  if (steps_ > 0) whole.finish_window();
  if (whole.grown_ >= 2 || (whole.grown_ == 1 && whole.windows_ == 1))
    return fmt::format(
        "the training has diverged: its last loss is {:.3g}, and at step {} it was {:.3g}; train again with a "
        "lower --lr, or with --clip",
        whole.last_, first_step_, *first_);
  if (not_finite_.empty()) return {};
  return fmt::format("loss terms that were not finite: {}; train again with a lower --lr, or with --clip",
                     joined(not_finite_));
}

double LossWatch::reference() const {
  if (!first_ || !first_window_) return 0;
  return std::min(*first_window_, first_rise * *first_);
}

}  // namespace basin

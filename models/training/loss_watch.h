#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace basin {

/// Notices that the loss of a run has grown to many times its first values, as it does with a learning rate that is far
/// too high, or that one of its terms is not finite although their weighted sum is.
///
/// The loss is averaged over windows of at least `window` steps. It has grown if its mean is more than `many` times
/// that of the first window; but if steps of the first window have gone wrong already, more than `many` times
/// `first_rise` times the loss of the very first step, before which the parameters have not changed. Single batches
/// differ much, so that the very first loss alone does not suffice, and one window alone does not count, except at the
/// end of a run that has no other.
class LossWatch {
 public:
  static constexpr int64_t window = 8;  // steps
  static constexpr double many = 10, first_rise = 100;

  /// Whether no step with a positive loss has been added yet; until then each step is added on its own.
  bool needs_first() const { return !first_; }

  /// Adds the next `steps` steps, which end with step number `step`: `means` are the means of the losses over them, the
  /// total last, and `names` their names. Returns a sentence if something has just gone wrong, else an empty text.
  std::string add(const std::vector<std::string>& names, const std::vector<double>& means, int64_t steps, int64_t step);

  /// A sentence about what is wrong at the end of the run, or an empty text.
  std::string at_end() const;

 private:
  void finish_window();
  /// The mean loss over windows is compared with this one.
  double reference() const;
  bool has_grown(double mean) const { return reference() > 0 && mean > many * reference(); }

  std::optional<double> first_, first_window_;
  int64_t first_step_ = 0;
  double sum_ = 0, last_ = 0;  // of the present window; the mean of the last one
  int64_t steps_ = 0;          // of the present window
  int64_t windows_ = 0;
  int grown_ = 0;      // windows in a row, the last one included, whose loss has grown
  bool said_ = false;  // that the loss has grown
  std::vector<std::string> not_finite_;
};

}  // namespace basin

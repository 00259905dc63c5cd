#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "engine/ranks/ranks.h"

namespace basin {

/// Sums over ranks that are exchanged while the ranks go on computing. All ranks start the same sums in the same order.
class OrderedSums {
 public:
  explicit OrderedSums(Ranks&);
  ~OrderedSums();
  OrderedSums(const OrderedSums&) = delete;
  OrderedSums& operator=(const OrderedSums&) = delete;

  /// Adds mine[i] of rank 0 to to[i], then that of rank 1, and so on, rounding like a single process that adds them in
  /// this order. `to` has the same values on all ranks, before and after; it must not be used before finish(), whereas
  /// `mine` is copied.
  void start(const float* mine, float* to, int64_t n);
  /// Does what is possible without waiting for other ranks.
  void advance();
  /// Returns when all sums are complete.
  void finish();

 private:
  struct Sum;
  /// Does the next step of a sum, if what it needs has arrived, or else waits for that with `wait`. Returns whether it
  /// did one.
  bool step(Sum&, bool wait);

  Ranks& ranks_;
  std::deque<std::unique_ptr<Sum>> sums_;  // those that are not complete, in the order of their start
};

}  // namespace basin

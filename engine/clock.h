#pragma once
#include <chrono>

#include "kernels/exec.h"

struct CUevent_st;  // what a cudaEvent_t points to

namespace basin {

/// Seconds since a moment that stays the same while the program runs, of a clock that never goes back: for durations.
inline double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A moment in the work of a device: on the CPU now, on a GPU when its stream has done what is asked of it by now.
class Moment {
 public:
  explicit Moment(const Exec&);
  ~Moment();
  Moment(const Moment&) = delete;
  Moment& operator=(const Moment&) = delete;
  /// Waits until the device has come to this one.
  double seconds_since(const Moment& earlier) const;

 private:
  double at_ = 0;
  CUevent_st* event_ = nullptr;
};

}  // namespace basin

#pragma once
#include <chrono>

#include "kernels/runtime/exec.h"

struct CUevent_st;  // what a cudaEvent_t points to

namespace basin {

/// Seconds since a moment that stays the same while the program runs, of a clock that never goes back: for durations.
inline double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A moment in the work of a device: on the CPU now, on a GPU when its stream has done what is asked of it by now.
class DeviceTimestamp {
 public:
  explicit DeviceTimestamp(const Exec&);
  ~DeviceTimestamp();
  DeviceTimestamp(const DeviceTimestamp&) = delete;
  DeviceTimestamp& operator=(const DeviceTimestamp&) = delete;
  /// Waits until the device has come to this one.
  double seconds_since(const DeviceTimestamp& earlier) const;

 private:
  double at_ = 0;
  CUevent_st* event_ = nullptr;
};

}  // namespace basin

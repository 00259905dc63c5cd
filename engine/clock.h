#pragma once
#include <chrono>

#include "kernels/runtime/exec.h"

struct CUevent_st;  // cudaEvent_t is a pointer to this

namespace basin {

/// Seconds of a monotonic clock, for measuring durations.
inline double clock_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// A point in time in the work of a device: on the CPU now, on a GPU when its stream has finished all work queued so
/// far.
class DeviceTimestamp {
 public:
  explicit DeviceTimestamp(const Exec&);
  ~DeviceTimestamp();
  DeviceTimestamp(const DeviceTimestamp&) = delete;
  DeviceTimestamp& operator=(const DeviceTimestamp&) = delete;
  /// Waits until the device has reached this point.
  double seconds_since(const DeviceTimestamp& earlier) const;

 private:
  double at_ = 0;
  CUevent_st* event_ = nullptr;
};

}  // namespace basin

#pragma once
#include <mutex>

#include "tools/cli/command.h"

namespace basin::library {

/// Lets the calling thread work with this many threads (0: all) until it is destroyed.
class Threads {
 public:
  explicit Threads(int count);
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Waits until no other thread uses a GPU, and makes others wait until the lock is released. All calls share the plans
/// of cuDNN and one pool of GPU memory, in which a freed block is reused in the order of one stream, so that two calls
/// must not run at once. Locks nothing if there is no GPU.
std::unique_lock<std::mutex> gpu_turn();

/// The device of a call. While this object exists, no other thread can use the GPU; the CPU is shared.
class CallDevice {
 public:
  /// The device that the options ask for. Errors have BASIN_ERROR_DEVICE.
  explicit CallDevice(const tools::Common&);
  /// The device `exec` of an earlier CallDevice with the same options.
  CallDevice(const tools::Common&, const Exec&);
  const Exec& exec() const { return exec_; }

 private:
  std::unique_lock<std::mutex> turn_;
  Exec exec_;
};

}  // namespace basin::library

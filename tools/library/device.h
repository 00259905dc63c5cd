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

/// Waits until no other thread uses a GPU, and makes others wait until the lock is released. On a GPU, memory that one
/// call has given back is used by the next in the order of one stream, and the plans of cuDNN are shared, so that two
/// calls at once would disturb each other. Locks nothing where there is no GPU.
std::unique_lock<std::mutex> gpu_turn();

/// The device of a call. A GPU is the calling thread's alone until this is destroyed; the CPU is shared.
class CallDevice {
 public:
  /// The device that the options ask for. Errors have BASIN_ERROR_DEVICE.
  explicit CallDevice(const tools::Common&);
  /// A device that a CallDevice with these options gave before.
  CallDevice(const tools::Common&, const Exec&);
  const Exec& exec() const { return exec_; }

 private:
  std::unique_lock<std::mutex> turn_;
  Exec exec_;
};

}  // namespace basin::library

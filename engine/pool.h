#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/platform.h"

namespace basin {

/// Keeps what is given back and lends it again, last in first out within a size: a step that asks for the same sizes
/// in the same order gets the same addresses every time and takes nothing from the system after its first run.
/// Where the system has no more, what waits here, and in pool_of(device), is given back before the request is refused
/// as OutOfMemory. May be used from several threads.
class Pool : public Scratch {
 public:
  explicit Pool(Device device) : device_(device) {}
  ~Pool() override;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* take(size_t bytes) override;
  void give(void* block, size_t bytes) noexcept override;
  /// Gives what is not lent back to the system.
  void trim() noexcept;

  struct Use {
    size_t lent = 0, peak_lent = 0, held = 0;  // bytes; held: lent or waiting
    size_t system_calls = 0;                   // blocks ever asked from the system
  };
  Use use() const;

 private:
  void give_back() noexcept;

  Device device_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // by size
  Use use_;
};

/// `exec`, with memory for what is as large as an image where it names none. On the CPU that is the system's and goes
/// back there: a pool would keep it for the next image, which is of another size. On a GPU it is the shared pool's, as
/// giving memory back to the system waits for all work there.
Exec for_images(Exec exec);

/// Host memory that a GPU reads while the host goes on, where the build has CUDA; else as any other.
Scratch& pinned_memory();

/// The pool that tensors come from where exec.scratch is null. Lives as long as the process.
Pool& pool_of(Device);

}  // namespace basin

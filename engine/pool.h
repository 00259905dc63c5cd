#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/platform.h"

namespace basin {

/// Caches freed blocks and reuses them, most recently freed first within a size: a step that allocates the same sizes
/// in the same order gets the same addresses every time and allocates nothing from the system after its first run. If
/// the system is out of memory, the free blocks here and in pool_of(device) are returned to it before the request fails
/// with OutOfMemory. Thread-safe.
class Pool : public Scratch {
 public:
  explicit Pool(Device device) : device_(device) {}
  ~Pool() override;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  void* take(size_t bytes) override;
  void give(void* block, size_t bytes) noexcept override;
  /// Returns all free blocks to the system.
  void trim() noexcept;
  /// The same, if all blocks together are more than twice as large as what was ever in use at once: then most of them
  /// have sizes that are no longer needed, such as those for images of other sizes.
  void trim_excess() noexcept;

  struct Use {
    size_t lent = 0, peak_lent = 0, held = 0;  // bytes; held: in use or free
    size_t system_calls = 0;                   // number of allocations from the system
  };
  Use use() const;

 private:
  void give_back() noexcept;

  Device device_;
  mutable std::mutex mutex_;
  std::map<size_t, std::vector<void*>> free_;  // free blocks by size
  Use use_;
};

/// `exec` with a source of memory for buffers as large as an image, unless it has one. On the CPU buffers come directly
/// from the system and are returned to it, because a pool would keep them for the next image, which has another size.
/// On a GPU they come from the shared pool, because there freeing waits for all work.
Exec for_images(Exec exec);

/// Page-locked host memory, from which a GPU copies asynchronously, if the build has CUDA; otherwise ordinary memory.
Scratch& pinned_memory();

/// The pool for tensors if exec.scratch is null. Lives as long as the process.
Pool& pool_of(Device);

}  // namespace basin

#include "engine/pool.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>

namespace basin {
namespace {

/// Sizes are rounded up so that nearly equal requests share blocks: to 1/8 of their power of two, at least 256 bytes.
size_t size_class(size_t bytes) {
  size_t step = 256;
  while (step * 16 <= bytes)
    step *= 2;
  return std::max((bytes + step - 1) / step * step, size_t(256));
}

/// Null if the device is out of memory.
void* from_system(Device device, size_t bytes) {
#if BASIN_CUDA
  if (device == Device::cuda) {
    void* p = nullptr;
    const cudaError_t e = cudaMalloc(&p, bytes);
    if (e == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      return nullptr;
    }
    BASIN_CUDA_CHECK(e);
    return p;
  }
#endif
  (void)device;
  return std::aligned_alloc(64, bytes);
}

[[noreturn]] void refuse_memory(Device device, size_t bytes, const char* advice) {
  throw OutOfMemory(
      (device == Device::cuda ? "not enough free GPU memory for another " : "not enough free memory for another ") +
      std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB" + advice);
}

void to_system(Device device, void* block) noexcept {
#if BASIN_CUDA
  if (device == Device::cuda) {
    cudaFree(block);
    return;
  }
#endif
  (void)device;
  std::free(block);
}

/// Host memory straight from the system; caches nothing.
class System : public Scratch {
 public:
  void* take(size_t bytes) override {
    const size_t size = (bytes + 63) / 64 * 64;
    void* block = from_system(Device::cpu, size);
    if (!block) {
      pool_of(Device::cpu).trim();
      block = from_system(Device::cpu, size);
    }
    if (!block) refuse_memory(Device::cpu, size, ": cut the image into smaller ones");
    return block;
  }
  void give(void* block, size_t) noexcept override { to_system(Device::cpu, block); }
};

class Pinned : public Scratch {
 public:
  void* take(size_t bytes) override {
#if BASIN_CUDA
    void* p = nullptr;
    const cudaError_t e = cudaMallocHost(&p, bytes);
    if (e != cudaSuccess) (void)cudaGetLastError();  // otherwise the next launch reports this error
    if (e == cudaErrorMemoryAllocation)
      refuse_memory(Device::cpu, bytes, " of page-locked memory: lower --batch or --crop");
    BASIN_CUDA_CHECK(e);
    return p;
#else
    return pool_of(Device::cpu).take(bytes);
#endif
  }
  void give(void* block, [[maybe_unused]] size_t bytes) noexcept override {
#if BASIN_CUDA
    cudaFreeHost(block);
#else
    pool_of(Device::cpu).give(block, bytes);
#endif
  }
};

}  // namespace

Pool::~Pool() { trim(); }

void* Pool::take(size_t bytes) {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  std::vector<void*>& waiting = free_[size];
  void* block;
  if (waiting.empty()) {
    block = from_system(device_, size);
    if (!block) {
      give_back();
      if (Pool& shared = pool_of(device_); this != &shared) shared.trim();
      block = from_system(device_, size);
    }
    if (!block) refuse_memory(device_, size, ": lower --batch, --crop or --tile, or cut the image into smaller ones");
    ++use_.system_calls;
    use_.held += size;
    waiting.reserve(8);
  } else {
    block = waiting.back();
    waiting.pop_back();
  }
  use_.lent += size;
  use_.peak_lent = std::max(use_.peak_lent, use_.lent);
  return block;
}

void Pool::give(void* block, size_t bytes) noexcept {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  use_.lent -= size;
  try {
    free_[size].push_back(block);
  } catch (const std::bad_alloc&) {
    to_system(device_, block);
    use_.held -= size;
  }
}

void Pool::trim_excess() noexcept {
  const std::lock_guard lock(mutex_);
  if (use_.held - use_.lent > 2 * use_.peak_lent) give_back();
}

void Pool::trim() noexcept {
  const std::lock_guard lock(mutex_);
  give_back();
}

/// Returns free blocks to the system. The caller holds the mutex.
void Pool::give_back() noexcept {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks)
      to_system(device_, block);
    use_.held -= size * blocks.size();
    blocks.clear();
  }
}

Pool::Use Pool::use() const {
  const std::lock_guard lock(mutex_);
  return use_;
}

Exec for_images(Exec exec) {
  static System* system = new System;  // never destroyed, like the pools
  if (!exec.scratch) exec.scratch = exec.device == Device::cpu ? static_cast<Scratch*>(system) : &pool_of(exec.device);
  return exec;
}

Scratch& pinned_memory() {
  static Pinned* memory = new Pinned;  // never destroyed, like the pools
  return *memory;
}

Pool& pool_of(Device device) {
  static Pool* cpu = new Pool(Device::cpu);  // never destroyed: static tensors may outlive main
  static Pool* cuda = new Pool(Device::cuda);
  return device == Device::cpu ? *cpu : *cuda;
}

}  // namespace basin

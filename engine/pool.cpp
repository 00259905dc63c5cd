#include "engine/pool.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace basin {
namespace {

/// Sizes are rounded up so that near-equal requests share a block: to 1/8 of their power of two, at least 256 bytes.
size_t size_class(size_t bytes) {
  size_t step = 256;
  while (step * 16 <= bytes)
    step *= 2;
  return std::max((bytes + step - 1) / step * step, size_t(256));
}

void* from_system(Device device, size_t bytes) {
#if BASIN_CUDA
  if (device == Device::cuda) {
    void* p = nullptr;
    const cudaError_t e = cudaMalloc(&p, bytes);
    if (e == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      refuse("the GPU has no room for another ", bytes >> 20, " MiB: lower --batch, --crop or --tile");
    }
    BASIN_CUDA_CHECK(e);
    return p;
  }
#endif
  (void)device;
  void* p = std::aligned_alloc(64, bytes);
  if (!p) refuse("no memory for another ", bytes >> 20, " MiB: lower --batch, --crop or --tile");
  return p;
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

}  // namespace

Pool::~Pool() { trim(); }

void* Pool::take(size_t bytes) {
  const size_t size = size_class(bytes);
  const std::lock_guard lock(mutex_);
  std::vector<void*>& waiting = free_[size];
  void* block;
  if (waiting.empty()) {
    block = from_system(device_, size);
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
  free_[size].push_back(block);
  use_.lent -= size;
}

void Pool::trim() noexcept {
  const std::lock_guard lock(mutex_);
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

Pool& pool_of(Device device) {
  static Pool* cpu = new Pool(Device::cpu);  // never destroyed: tensors in static storage may outlive main
  static Pool* cuda = new Pool(Device::cuda);
  return device == Device::cpu ? *cpu : *cuda;
}

}  // namespace basin

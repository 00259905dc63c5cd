#pragma once
#include <source_location>
#include <tuple>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/platform.h"

// Replaces the header of the same name in builds for the emulated device.

namespace basin {

template <class... P, class... A>
void launch(const Exec& exec, dim3 grid, dim3 block, void (*kernel)(P...), const A&... args) {
  BASIN_CUDA_CHECK(emulate::launch(exec.stream, grid, block,
                                   [kernel, all = std::tuple<P...>(args...)] { std::apply(kernel, all); }));
}

/// Reads and writes of memory that other threads may write at the same time.
template <class T>
T device_load(const T* at) {
  emulate::stand_back();
  return __atomic_load_n(at, __ATOMIC_RELAXED);
}
template <class T>
void device_store(T* at, T value) {
  emulate::stand_back();
  __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

}  // namespace basin

#define BASIN_SHARED(T, name, n) auto& name = emulate::SharedArray<T, n>::of_block(std::source_location::current())

#pragma once
#include "kernels/runtime/launch.h"

namespace basin {

/// Relaxed atomic reads and writes of a number that other threads may write at the same time.
template <class T>
BASIN_HD T relaxed_load(const T* at) {
#ifdef __CUDA_ARCH__
  return device_load(at);
#else
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}
template <class T>
BASIN_HD void relaxed_store(T* at, T value) {
#ifdef __CUDA_ARCH__
  device_store(at, value);
#else
  __atomic_store_n(at, value, __ATOMIC_RELAXED);
#endif
}

/// Adds to an integer that other threads may add to at the same time; the sum does not depend on their order.
BASIN_HD inline void relaxed_add(int32_t& to, int32_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(&to, value);
#else
  __atomic_fetch_add(&to, value, __ATOMIC_RELAXED);
#endif
}
BASIN_HD inline void relaxed_add(int64_t& to, int64_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(reinterpret_cast<unsigned long long*>(&to), static_cast<unsigned long long>(value));
#else
  __atomic_fetch_add(&to, value, __ATOMIC_RELAXED);
#endif
}

}  // namespace basin

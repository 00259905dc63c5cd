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

}  // namespace basin

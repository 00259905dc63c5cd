#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/platform.h"

// What CUDA kernels are launched with and how their threads share memory. Kernels use nothing of the device beyond
// this, indices of threads and blocks, __syncthreads, __syncwarp, shuffles and votes of a warp, atomics, and intrinsics
// that find, count or reverse bits.

#ifdef __CUDACC__
namespace basin {

/// The only place that launches: kernel(args...) on `grid` blocks of `block` threads, checked.
template <class... P, class... A>
void launch(const Exec& exec, dim3 grid, dim3 block, void (*kernel)(P...), const A&... args) {
  kernel<<<grid, block, 0, exec.stream>>>(args...);
  BASIN_CUDA_CHECK(cudaGetLastError());
}

/// Reads and writes of what other threads write at the same time.
template <class T>
__device__ T device_load(const T* at) {
  return *const_cast<const volatile T*>(at);
}
template <class T>
__device__ void device_store(T* at, T value) {
  *const_cast<volatile T*>(at) = value;
}

}  // namespace basin

/// `name[n]`, of numbers, in the memory that the threads of a block share. Not initialised.
#define BASIN_SHARED(T, name, n) __shared__ T name[n]
#endif

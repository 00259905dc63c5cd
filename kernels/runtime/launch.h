#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/platform.h"

// How CUDA kernels are launched and how their threads share memory. Apart from this, kernels use only thread and block
// indices, __syncthreads, __syncwarp, warp shuffles and votes, atomics, and intrinsics that find, count or reverse
// bits.

#ifdef __CUDACC__
namespace basin {

/// The only place that launches a kernel: kernel(args...) on `grid` blocks of `block` threads. Launch errors throw.
template <class... P, class... A>
void launch(const Exec& exec, dim3 grid, dim3 block, void (*kernel)(P...), const A&... args) {
  kernel<<<grid, block, 0, exec.stream>>>(args...);
  BASIN_CUDA_CHECK(cudaGetLastError());
}

/// Reads and writes values that other threads may write at the same time.
template <class T>
__device__ T device_load(const T* at) {
  return *const_cast<const volatile T*>(at);
}
template <class T>
__device__ void device_store(T* at, T value) {
  *const_cast<volatile T*>(at) = value;
}

}  // namespace basin

/// Declares `name[n]`, an array of numbers in the shared memory of a block. Not initialised.
#define BASIN_SHARED(T, name, n) __shared__ T name[n]
#endif

#pragma once
#include "tests/support/support.h"

namespace basin::test {

constexpr bool is_emulated() { return BASIN_EMULATE; }

/// For a test case that needs a GPU, `TEST_CASE("..." * skip_without_gpu())`: on a machine without one it counts as
/// skipped instead of passing without an assertion. With BASIN_REQUIRE_GPU=1 it runs and fails.
inline doctest::skip skip_without_gpu() {
  int n = 0;
#if BASIN_CUDA
  if (cudaGetDeviceCount(&n) != cudaSuccess) n = 0;
#endif
  return doctest::skip(n == 0 && !std::getenv("BASIN_REQUIRE_GPU"));
}

/// Whether the GPU has TF32 and bfloat16 instructions. The emulated one does, with TF32 as float32.
inline bool has_tensor_cores(const Exec& exec) {
  if (exec.device == Device::cpu) return false;
  if (is_emulated()) return true;
#if BASIN_CUDA
  int gpu = 0;
  cudaDeviceProp properties{};
  REQUIRE(cudaGetDevice(&gpu) == cudaSuccess);
  REQUIRE(cudaGetDeviceProperties(&properties, gpu) == cudaSuccess);
  if (properties.major >= 8) return true;
#endif
  MESSAGE("this GPU has no bfloat16 arithmetic: its convolutions were not tested in bfloat16");
  return false;
}

}  // namespace basin::test

#include "kernels/conv/conv_algorithms.h"

#include "kernels/runtime/platform.h"

namespace basin::kernels {

ConvAlgorithmCache& conv_algorithm_cache() {
  int gpu = 0;
#if BASIN_CUDA
  BASIN_CUDA_CHECK(cudaGetDevice(&gpu));
#endif
  static std::map<int, ConvAlgorithmCache> caches;
  return caches[gpu];
}

}  // namespace basin::kernels

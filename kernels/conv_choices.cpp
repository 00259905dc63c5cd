#include "kernels/conv_choices.h"

#include "kernels/platform.h"

namespace basin::kernels {

ConvLedger& conv_ledger() {
  int gpu = 0;
#if BASIN_CUDA
  BASIN_CUDA_CHECK(cudaGetDevice(&gpu));
#endif
  static std::map<int, ConvLedger> ledgers;
  return ledgers[gpu];
}

}  // namespace basin::kernels

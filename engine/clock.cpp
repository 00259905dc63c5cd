#include "engine/clock.h"

namespace basin {

DeviceTimestamp::DeviceTimestamp(const Exec& exec) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) {
    BASIN_CUDA_CHECK(cudaEventCreateWithFlags(&event_, cudaEventDefault));
    if (const cudaError_t e = cudaEventRecord(event_, exec.stream); e != cudaSuccess) {
      cudaEventDestroy(event_);
      BASIN_CUDA_CHECK(e);
    }
    return;
  }
#endif
  (void)exec;
  at_ = clock_seconds();
}

DeviceTimestamp::~DeviceTimestamp() {
#if BASIN_CUDA
  if (event_) cudaEventDestroy(event_);
#endif
}

double DeviceTimestamp::seconds_since(const DeviceTimestamp& earlier) const {
#if BASIN_CUDA
  if (event_) {
    float milliseconds = 0;
    BASIN_CUDA_CHECK(cudaEventSynchronize(event_));
    BASIN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return 1e-3 * double(milliseconds);
  }
#endif
  return at_ - earlier.at_;
}

}  // namespace basin

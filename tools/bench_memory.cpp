#include <cstring>

#include "kernels/scratch.h"
#include "tools/bench.h"

namespace basin::tools {
namespace {

void copy_bytes(const Exec& exec, const std::byte* from, std::byte* to, int64_t n) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(to, from, size_t(n), cudaMemcpyDeviceToDevice, exec.stream));
    return;
  }
#endif
  (void)exec;
  constexpr int64_t chunk = int64_t(1) << 20;
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += chunk)
    std::memcpy(to + begin, from + begin, size_t(std::min(chunk, n - begin)));
}

}  // namespace

std::vector<BenchResult> bench_memory(const BenchOptions& options) {
  constexpr int64_t n = int64_t(256) << 20;
  const Temp<std::byte> from(options.exec, n), to(options.exec, n);
  if (options.exec.device == Device::cpu)
    for (int64_t i = 0; i < n; ++i)
      from[i] = std::byte(i % 251);
  const auto work = [&] { copy_bytes(options.exec, from.data(), to.data(), n); };
  work();
  if (options.exec.device == Device::cpu)
    BASIN_CHECK(std::memcmp(from.data(), to.data(), size_t(n)) == 0, "the copy differs");
  BenchResult r = time_it(options, "memory", "copy of 256 MiB", work);
  r.bytes = 2.0 * double(n);
  return {r};
}

}  // namespace basin::tools

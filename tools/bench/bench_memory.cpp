#include <cstring>

#include "kernels/runtime/scratch.h"
#include "tools/bench/bench.h"

namespace basin::tools {

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

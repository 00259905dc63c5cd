#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <vector>

#include "engine/clock.h"
#include "engine/pool.h"
#include "engine/ranks/ranks.h"
#include "tools/bench/bench.h"
#include "tools/cli/machine.h"

namespace basin::tools {

void wait_for(const Exec& exec) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
#endif
  (void)exec;
}

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

double median(std::vector<double> values) {
  BASIN_CHECK(!values.empty(), "median of no values");
  const size_t half = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

StepperOptions of_ranks() {
  Ranks* const ranks = ranks_of_run();
  return {.accumulate = ranks ? ranks->count() : 1, .ranks = ranks};
}

BenchResult time_it(const BenchOptions& options, const std::string& name, const std::string& shape,
                    const std::function<void()>& work) {
  constexpr size_t least = 5, most = 10000;
  constexpr double shortest_ms = 1;
  constexpr int max_calls = 1 << 12;
  const auto cpu_now = [] {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * double(t.tv_sec) + 1e-6 * double(t.tv_nsec);
  };
  double cpu_ms = HUGE_VAL;
  int calls = 1;
  auto run = [&] {  // returns the milliseconds of all calls
    const double start = clock_seconds();
    const double cpu_start = cpu_now();
    for (int k = 0; k < calls; ++k)
      work();
    wait_for(options.exec);
    cpu_ms = std::min(cpu_ms, (cpu_now() - cpu_start) / calls);
    return 1e3 * (clock_seconds() - start);
  };
  wait_for(options.exec);
  run();
  if (options.exec.device == Device::cuda)
    while (run() < shortest_ms && calls < max_calls)
      calls *= 2;
  std::vector<double> ms;
  double total = 0;
  const auto enough = [&] {
    if (options.reps > 0) return ms.size() >= size_t(options.reps);
    return ms.size() >= least && (total >= 1e3 * options.seconds || ms.size() >= most);
  };
  while (!value_of_first(ranks_of_run(), enough())) {  // ranks run equally often
    const double all = run();
    ms.push_back(all / calls);
    total += all;
  }
  BenchResult r;
  r.name = name;
  r.device = describe(options.exec);
  r.shape = shape;
  r.precision = options.exec.precision;
  r.median_ms = median(ms);
  r.min_ms = *std::min_element(ms.begin(), ms.end());
  r.cpu_ms = cpu_ms;
  r.reps = int(ms.size());
  r.calls = calls;
  return r;
}

bool has_room(const Exec& exec, double bytes, const std::string& what) {
  pool_of(exec.device).trim();
  const double free = double(memory_free(exec));
  if (bytes <= free) return true;
  std::fprintf(stderr, "%s: left out, because it needs about %.1f GiB and only %.1f GiB are free\n", what.c_str(),
               bytes * 0x1p-30, free * 0x1p-30);
  return false;
}

BenchOptions with_pool(BenchOptions options) {
  options.exec.scratch = &pool_of(options.exec.device);
  return options;
}

}  // namespace basin::tools

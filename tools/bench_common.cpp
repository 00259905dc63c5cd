#include <algorithm>
#include <cmath>
#include <ctime>
#include <vector>

#include "engine/clock.h"
#include "tools/bench.h"
#include "tools/machine.h"

namespace basin::tools {
namespace {

void wait(const Exec& exec) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) BASIN_CUDA_CHECK(cudaStreamSynchronize(exec.stream));
#endif
  (void)exec;
}

}  // namespace

double median(std::vector<double> values) {
  BASIN_CHECK(!values.empty(), "the median of nothing");
  const size_t half = values.size() / 2;
  std::sort(values.begin(), values.end());
  return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

BenchResult time_it(const BenchOptions& options, const std::string& name, const std::string& shape,
                    const std::function<void()>& work) {
  constexpr double budget_ms = 2000;
  constexpr size_t least = 5, most = 10000;
  const auto cpu_now = [] {
    timespec t{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * double(t.tv_sec) + 1e-6 * double(t.tv_nsec);
  };
  double cpu_ms = HUGE_VAL;
  auto run = [&] {
    const double start = clock_seconds();
    const double cpu_start = cpu_now();
    work();
    wait(options.exec);
    cpu_ms = std::min(cpu_ms, cpu_now() - cpu_start);
    return 1e3 * (clock_seconds() - start);
  };
  wait(options.exec);
  run();
  std::vector<double> ms;
  double total = 0;
  const auto enough = [&] {
    if (options.reps > 0) return ms.size() >= size_t(options.reps);
    return ms.size() >= least && (total >= budget_ms || ms.size() >= most);
  };
  while (!enough()) {
    ms.push_back(run());
    total += ms.back();
  }
  BenchResult r;
  r.name = name;
  r.device = describe(options.exec);
  r.shape = shape;
  r.median_ms = median(ms);
  r.min_ms = *std::min_element(ms.begin(), ms.end());
  r.cpu_ms = cpu_ms;
  r.reps = int(ms.size());
  return r;
}

}  // namespace basin::tools

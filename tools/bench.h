#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/exec.h"

namespace basin::tools {

struct BenchOptions {
  Exec exec;
  std::string input;  // a file to take the work from; empty: made from the seed
  uint64_t seed = 0;
  int reps = 0;  // 0: as many as fit into about two seconds, at least 5
};

struct BenchResult {
  std::string name, device, shape;
  double median_ms = 0, min_ms = 0;
  double cpu_ms = 0;  // processor time of all threads, the least of the runs: what a busy machine disturbs least
  int reps = 0;
  double bytes = 0, flops = 0;  // of one run, where known: printed as GB/s and GFLOP/s
};

/// Of an even number: the mean of the two in the middle.
double median(std::vector<double> values);

/// Runs `work` once to warm up, then `reps` times, and takes the median. On the GPU it waits for the stream.
BenchResult time_it(const BenchOptions&, const std::string& name, const std::string& shape,
                    const std::function<void()>& work);

// Each checks its result against the plain version or a known property before it times anything.
std::vector<BenchResult> bench_memory(
    const BenchOptions&);  // a copy: the bandwidth that the others are measured against
std::vector<BenchResult> bench_train_step(const BenchOptions&);
std::vector<BenchResult> bench_infer(const BenchOptions&);
std::vector<BenchResult> bench_dbscan(const BenchOptions&);
std::vector<BenchResult> bench_integrate(const BenchOptions&);
std::vector<BenchResult> bench_losses(const BenchOptions&);
std::vector<BenchResult> bench_field(const BenchOptions&);
std::vector<BenchResult> bench_components(const BenchOptions&);

}  // namespace basin::tools

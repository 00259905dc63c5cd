#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/runtime/exec.h"

namespace basin::tools {

struct BenchOptions {
  Exec exec;
  std::string input;  // a file to take the work from; empty: made from the seed
  uint64_t seed = 0;
  int reps = 0;        // 0: as many as fit into `seconds`, at least 5
  double seconds = 2;  // about
};

struct BenchResult {
  std::string name, device, shape;
  Precision precision = Precision::fp32;
  double median_ms = 0, min_ms = 0;  // of one call
  double cpu_ms = 0;  // processor time of all threads, the least of the runs: what a busy machine disturbs least
  int reps = 0;
  int calls = 1;                // of one run, one after the other
  double bytes = 0, flops = 0;  // of one call, where known: printed as GB/s and GFLOP/s
  double peak_bytes = 0;        // the most device memory that the work held, where known
  double decode_share = 0;      // of the time, where the work has a network and decodes
};

/// H1 on 256x256 pixels: multiply-adds of direct convolution, counted as two. Winograd's algorithm takes fewer, so that
/// a network may come out above the rate of matrix products.
constexpr double h1_flops = 2 * 10.93e9;

/// Of an even number: the mean of the two in the middle.
double median(std::vector<double> values);

/// Waits for the work that is under way on the device.
void wait_for(const Exec&);

/// Copies n bytes from one place of the device to another.
void copy_bytes(const Exec&, const std::byte* from, std::byte* to, int64_t n);

/// Runs `work` once to warm up, then `reps` times, and takes the median. On the GPU a run is as many calls as fill a
/// millisecond, and ends when the stream has done them: launching and waiting take some 10 us.
BenchResult time_it(const BenchOptions&, const std::string& name, const std::string& shape,
                    const std::function<void()>& work);

/// Whether the device has this many bytes free; stderr says what is left out where it does not.
bool has_room(const Exec&, double bytes, const std::string& what);

/// The options, with temporary memory from the device's pool.
BenchOptions with_pool(BenchOptions);

// Each checks its result against the plain version or a known property before it times anything.
std::vector<BenchResult> bench_memory(
    const BenchOptions&);  // a copy: the bandwidth that the others are measured against
std::vector<BenchResult> bench_matrix(
    const BenchOptions&);  // a product of matrices: the rate that networks are measured against
std::vector<BenchResult> bench_train_step(const BenchOptions&);
std::vector<BenchResult> bench_infer(const BenchOptions&);
std::vector<BenchResult> bench_segment(const BenchOptions&);
std::vector<BenchResult> bench_dbscan(const BenchOptions&);
std::vector<BenchResult> bench_integrate(const BenchOptions&);
std::vector<BenchResult> bench_losses(const BenchOptions&);
std::vector<BenchResult> bench_field(const BenchOptions&);
std::vector<BenchResult> bench_components(const BenchOptions&);

}  // namespace basin::tools

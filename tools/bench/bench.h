#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kernels/runtime/exec.h"
#include "models/registry.h"
#include "models/training/stepper.h"

namespace basin::tools {

struct BenchOptions {
  Exec exec;
  std::string input;  // the file with the input data; empty: generated from the seed
  uint64_t seed = 0;
  int reps = 0;        // 0: as many as fit into `seconds`, at least 5
  double seconds = 2;  // approximate duration of one benchmark
  int side = 256;      // height and width of the images of infer, train-step and the benchmarks of methods, px
  int batch = 2;       // images in a step of method-train
  std::string model = default_method();  // the method of method-train and method-segment
  std::vector<std::string> assignments;  // KEY=VALUE, for its settings
};

struct BenchResult {
  std::string name, device, shape;
  Precision precision = Precision::fp32;
  double median_ms = 0, min_ms = 0;  // of one call
  double cpu_ms = 0;  // processor time of all threads, minimum over the runs: least disturbed by other programs
  int reps = 0;
  int calls = 1;                // consecutive calls in one run
  double bytes = 0, flops = 0;  // per call, if known: printed as GB/s and GFLOP/s
  double peak_bytes = 0;        // peak device memory, if known
  double decode_share = 0;      // fraction of the time spent on decoding, for a network with decoding
};

/// Operations of H1 on 256x256 pixels by direct convolution; a multiply-add counts as two. Winograd's algorithm needs
/// fewer, so a network may exceed the rate of matrix products.
constexpr double h1_flops = 2 * 10.93e9;

/// For an even number of values: the mean of the middle two.
double median(std::vector<double> values);

/// Waits until all work queued on the device is done.
void wait_for(const Exec&);

/// Copies n bytes within the device.
void copy_bytes(const Exec&, const std::byte* from, std::byte* to, int64_t n);

/// Runs `work` once to warm up, then `reps` times, and takes the median. On the GPU one run makes as many calls as fill
/// a millisecond and waits for the stream: launching and waiting alone take about 10 us.
BenchResult time_it(const BenchOptions&, const std::string& name, const std::string& shape,
                    const std::function<void()>& work);

/// Training steps of all ranks together, if there are several: each processes one batch of a step.
StepperOptions of_ranks();

/// Whether the device has this many bytes free; if not, reports on stderr that `what` is left out.
bool has_room(const Exec&, double bytes, const std::string& what);

/// The options, with temporary memory from the device's pool.
BenchOptions with_pool(BenchOptions);

// Each benchmark checks its result against the plain version or a known property before timing.
std::vector<BenchResult> bench_memory(
    const BenchOptions&);  // a copy: the bandwidth that other benchmarks are compared with
std::vector<BenchResult> bench_matrix(
    const BenchOptions&);  // a matrix product: the rate that networks are compared with
std::vector<BenchResult> bench_train_step(const BenchOptions&);
std::vector<BenchResult> bench_infer(const BenchOptions&);
std::vector<BenchResult> bench_method_train(const BenchOptions&);    // a training step of any method
std::vector<BenchResult> bench_method_segment(const BenchOptions&);  // an image, by any method
std::vector<BenchResult> bench_segment(const BenchOptions&);
std::vector<BenchResult> bench_dbscan(const BenchOptions&);
std::vector<BenchResult> bench_integrate(const BenchOptions&);
std::vector<BenchResult> bench_losses(const BenchOptions&);
std::vector<BenchResult> bench_field(const BenchOptions&);
std::vector<BenchResult> bench_components(const BenchOptions&);
std::vector<BenchResult> bench_objects(const BenchOptions&);

}  // namespace basin::tools

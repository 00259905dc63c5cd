#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/runtime/exec.h"

namespace basin::tools {

/// The processor's name as reported by the system, or "unknown processor".
std::string processor_name();
int threads_in_use();
/// Bytes of physical memory; 0 if unknown.
int64_t memory_total();
int64_t memory_available();

struct Gpu {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory = 0;        // bytes
};
/// The usable GPUs; empty if there are none or the build has no CUDA.
std::vector<Gpu> gpus();

/// Free bytes on the GPU, or in main memory for the CPU.
int64_t memory_free(const Exec&);

/// Keeps OpenMP threads from spinning for long while they wait for each other: on a busy machine a spinning thread
/// takes the core that the awaited one needs, and training takes three times as long. The runtime reads its settings
/// before main() begins, so the program re-executes itself in the same process. Does nothing if the environment already
/// decides (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME).
void wait_without_spinning(char** argv);

/// One line: the device and, on the CPU, the instruction set and the number of threads.
std::string describe(const Exec&);

}  // namespace basin::tools

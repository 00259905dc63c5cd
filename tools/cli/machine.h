#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/runtime/exec.h"

namespace basin::tools {

/// The processor's name as the system tells it, or "unknown processor".
std::string processor_name();
int threads_in_use();
/// Bytes of physical memory: 0 where the system does not tell.
int64_t memory_total();
int64_t memory_available();

struct Gpu {
  std::string name;
  int major = 0, minor = 0;  // compute capability
  int64_t memory = 0;        // bytes
};
/// The usable GPUs: none where there is none or the build has no CUDA.
std::vector<Gpu> gpus();

/// Bytes that a GPU, or the processor, has free for what computes there.
int64_t memory_free(const Exec&);

/// Keeps OpenMP's threads from spinning for long while they wait for each other: on a machine with other work to do a
/// spinning thread takes the core that the awaited one needs, and training takes three times as long. The runtime reads
/// its settings before main() begins, so the program is started once more, as the same process. Does nothing where the
/// environment decides (OMP_WAIT_POLICY, GOMP_SPINCOUNT, KMP_BLOCKTIME).
void wait_without_spinning(char** argv);

/// One line: the device, and on the CPU the instruction set and the number of threads.
std::string describe(const Exec&);

}  // namespace basin::tools

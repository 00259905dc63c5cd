#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/exec.h"

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

/// One line: the device, and on the CPU the instruction set and the number of threads.
std::string describe(const Exec&);

}  // namespace basin::tools

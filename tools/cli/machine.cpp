#include "tools/cli/machine.h"

#include <omp.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "kernels/runtime/isa.h"

namespace basin::tools {
namespace {

/// The value of the first line "key : value" of a system file, or "" if there is none.
std::string field_of(const char* path, const std::string& key) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) != 0) continue;
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

int64_t kilobytes_of(const std::string& key) {
  const std::string value = field_of("/proc/meminfo", key);
  return value.empty() ? 0 : std::stoll(value) * 1024;
}

}  // namespace

std::string processor_name() {
  const std::string name = field_of("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown processor" : name;
}

int threads_in_use() { return omp_get_max_threads(); }
int64_t memory_total() { return kilobytes_of("MemTotal"); }
int64_t memory_available() { return kilobytes_of("MemAvailable"); }

std::vector<Gpu> gpus() {
  std::vector<Gpu> all;
#if BASIN_CUDA
  int n = 0;
  if (cudaGetDeviceCount(&n) != cudaSuccess) {
    (void)cudaGetLastError();
    return all;
  }
  for (int i = 0; i < n; ++i) {
    cudaDeviceProp p;
    BASIN_CUDA_CHECK(cudaGetDeviceProperties(&p, i));
    all.push_back({p.name, p.major, p.minor, int64_t(p.totalGlobalMem)});
  }
#endif
  return all;
}

int64_t memory_free(const Exec& exec) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) {
    size_t free = 0, total = 0;
    BASIN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return int64_t(free);
  }
#endif
  (void)exec;
  return memory_available();
}

void wait_without_spinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT") || std::getenv("KMP_BLOCKTIME")) return;
  setenv("GOMP_SPINCOUNT", "3000", 1);  // about 0.1 ms
  setenv("KMP_BLOCKTIME", "1", 1);      // LLVM's runtime: whole milliseconds
  execv("/proc/self/exe", argv);        // if this fails, threads spin
}

std::string describe(const Exec& exec) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) {
    int index = 0;
    BASIN_CUDA_CHECK(cudaGetDevice(&index));
    return "cuda, " + gpus().at(size_t(index)).name;
  }
#endif
  const int n = threads_in_use();
  return std::string(exec.device == Device::cuda ? "cuda" : "cpu") + ", " + name_of(isa()) + ", " + std::to_string(n) +
         (n == 1 ? " thread" : " threads");
}

}  // namespace basin::tools

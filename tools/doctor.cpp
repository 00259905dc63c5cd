#include <thread>

#include "kernels/conv_cudnn.h"
#include "kernels/conv_onednn.h"
#include "kernels/isa.h"
#include "tools/command.h"
#include "tools/machine.h"

namespace basin::tools {
namespace {

#if defined(__clang__)
constexpr const char* compiler = "clang " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

double gib(int64_t bytes) { return double(bytes) / double(int64_t(1) << 30); }

void print_gpu_lines() {
#if BASIN_CUDA
  int driver = 0;
  BASIN_CUDA_CHECK(cudaDriverGetVersion(&driver));
  std::printf("convolution   %s on the GPU\n", kernels::cudnn_version().c_str());
  std::printf("CUDA          built with %d.%d, driver for %d.%d\n", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10,
              driver / 1000, driver % 1000 / 10);
  const std::vector<Gpu> all = gpus();
  for (size_t i = 0; i < all.size(); ++i)
    std::printf("cuda:%-8zu %s, compute capability %d.%d, %.1f GiB\n", i, all[i].name.c_str(), all[i].major,
                all[i].minor, gib(all[i].memory));
  if (all.empty()) std::printf("GPU           none that this build can use\n");
#else
  std::printf("CUDA          not in this build\n");
#endif
}

void run() {
  std::printf("basin         %s\n", BASIN_VERSION);
  std::printf("compiler      %s\n", compiler);
  std::printf("processor     %s\n", processor_name().c_str());
  std::printf("instructions  %s\n", name_of(isa()));
  std::printf("bf16          %s\n",
              multiplies_bfloat16() ? "multiplied by the processor" : "not multiplied by the processor");
  std::printf("cores         %u, of which %d are used\n", std::thread::hardware_concurrency(), threads_in_use());
  std::printf("memory        %.1f GiB, %.1f GiB free\n", gib(memory_total()), gib(memory_available()));
  std::printf("convolution   %s\n", kernels::onednn_version().c_str());
  print_gpu_lines();
}

}  // namespace

void add_doctor(Command& program) {
  Command command = program.subcommand("doctor", "what this build is and what it finds on this machine");
  command.runs(run);
}

}  // namespace basin::tools

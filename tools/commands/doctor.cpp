#include <thread>

#include "kernels/conv/conv_onednn.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/runtime/isa.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/gpu_fit.h"
#include "tools/cli/machine.h"
#include "tools/cli/version.h"

namespace basin::tools {
namespace {

double gib(int64_t bytes) { return double(bytes) / double(int64_t(1) << 30); }

void print_gpu_lines() {
#if BASIN_CUDA
  int driver = 0, runtime = 0;
  BASIN_CUDA_CHECK(cudaDriverGetVersion(&driver));
  BASIN_CUDA_CHECK(cudaRuntimeGetVersion(&runtime));
  const kernels::CudnnVersions cudnn = kernels::cudnn_versions();
  const Architectures build = parse_architectures(BASIN_CUDA_ARCHITECTURES);
  std::printf("cuDNN         %s (for CUDA %s), built with %s\n", cudnn_version(cudnn.found).c_str(),
              cuda_version(cudnn.cuda).c_str(), cudnn_version(cudnn.built_with).c_str());
  std::printf("CUDA          runtime %s, built with %s\n", cuda_version(runtime).c_str(),
              cuda_version(CUDART_VERSION).c_str());
  std::printf("GPU code      %s\n", to_string(build).c_str());
  std::printf("driver        %s\n", fit_of_driver(driver, CUDART_VERSION).sentence.c_str());
  const std::vector<Gpu> all = gpus();
  for (size_t i = 0; i < all.size(); ++i) {
    const Gpu& g = all[i];
    std::printf("cuda:%-8zu %s, compute capability %d.%d, %.1f GiB: %s\n", i, g.name.c_str(), g.major, g.minor,
                gib(g.memory), fit_of_gpu(g.major, g.minor, build, driver, CUDART_VERSION).sentence.c_str());
    const Fit library = fit_of_cudnn(g.major, g.minor, cudnn.found, cudnn.built_with);
    if (!library.fits) std::printf("              %s\n", library.sentence.c_str());
  }
  if (all.empty()) std::printf("GPU           none that this build can use\n");
#else
  std::printf("CUDA          not in this build\n");
#endif
}

void print_report() {
  std::printf("basin         %s\n", BASIN_VERSION);
  std::printf("compiler      %s\n", compiler_name().c_str());
  std::printf("processor     %s\n", processor_name().c_str());
  std::printf("instructions  %s\n", name_of(isa()));
  std::printf("bf16          %s\n", multiplies_bfloat16() ? "bfloat16 instructions" : "no bfloat16 instructions");
  std::printf("cores         %u, %s used\n", std::thread::hardware_concurrency(),
              counted(threads_in_use(), "thread").c_str());
  std::printf("memory        %.1f GiB, %.1f GiB free\n", gib(memory_total()), gib(memory_available()));
  std::printf("convolution   %s\n", kernels::onednn_version().c_str());
  print_gpu_lines();
}

}  // namespace

void add_doctor(Command& program) {
  Command command = program.subcommand("doctor", "describe this build and the hardware and libraries that it finds");
  command.runs(print_report);
}

}  // namespace basin::tools

#include "tools/command.h"

#include <omp.h>

#include <cstdio>

#include "tools/machine.h"

namespace basin::tools {

void add_device_options(Command& command, Common& common) {
  command.add("--device", common.device, "auto, cpu, cuda or cuda:INDEX").shown();
  command.add("--threads", common.threads, "CPU threads (0: all)").not_negative().shown();
}

void add_seed_option(Command& command, Common& common) {
  command.add("--seed", common.seed, "the seed of all randomness").shown();
}

Exec make_exec(const Common& common) {
  if (common.threads > 0) omp_set_num_threads(common.threads);
  Exec exec;
  const bool wants_cuda = common.device.rfind("cuda", 0) == 0;
  if (!wants_cuda && common.device != "cpu" && common.device != "auto")
    refuse("--device ", common.device, ": expected auto, cpu, cuda or cuda:INDEX");
  const int n = common.device == "cpu" ? 0 : int(gpus().size());
  if (wants_cuda && n == 0) refuse("--device ", common.device, ": this machine or this build has no usable NVIDIA GPU");
  if (n > 0) {
#if BASIN_CUDA
    const int index = common.device.size() > 5 ? std::stoi(common.device.substr(5)) : 0;
    if (index < 0 || index >= n) refuse("--device ", common.device, ": there are ", n, " GPUs");
    BASIN_CUDA_CHECK(cudaSetDevice(index));
    exec.device = Device::cuda;
#endif
  }
  if (common.device == "auto") std::fprintf(stderr, "device: %s\n", describe(exec).c_str());
  return exec;
}

Exec make_cpu_exec(Common common) {
  if (common.device.rfind("cuda", 0) == 0)
    refuse("--device ", common.device, ": this command runs on the CPU only so far");
  const bool chosen = common.device != "auto";
  if (!chosen) common.device = "cpu";
  const Exec exec = make_exec(common);
  if (!chosen) std::fprintf(stderr, "device: %s\n", describe(exec).c_str());
  return exec;
}

}  // namespace basin::tools

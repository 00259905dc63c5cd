#include "tools/command.h"

#include <omp.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "engine/files.h"
#include "engine/json.h"
#include "kernels/isa.h"
#include "tools/counted.h"
#include "tools/machine.h"
#include "tools/run_json.h"

namespace basin::tools {
namespace {

/// Which GPU --device asks for: of "cuda" the first. None: it asks for the CPU, or leaves the choice.
std::optional<int> wanted_gpu(const std::string& device) {
  if (device == "cpu" || device == "auto") return std::nullopt;
  if (device == "cuda") return 0;
  constexpr std::string_view prefix = "cuda:";
  const char* end = device.data() + device.size();
  int index = -1;
  if (device.starts_with(prefix)) {
    const auto [last, error] = std::from_chars(device.data() + prefix.size(), end, index);
    if (error != std::errc() || last != end) index = -1;
  }
  if (index < 0) refuse("--device ", device, ": expected auto, cpu, cuda or cuda:INDEX");
  return index;
}

}  // namespace

void add_device_options(Command& command, Common& common) {
  command.add("--device", common.device, "auto, cpu, cuda or cuda:INDEX").shown();
  command.add("--threads", common.threads, "CPU threads (0: all)").not_negative().shown();
}

void add_seed_option(Command& command, Common& common) {
  command.add("--seed", common.seed, "the seed of all randomness").shown();
}

void add_precision_option(Command& command, Common& common) {
  command
      .add("--precision", common.precision,
           "of the network: fp32; tf32, which is faster on GPUs of compute capability 8.0 and later; or bf16, which is "
           "on processors with AVX512_BF16; fp32 where the device has no such thing")
      .one_of({"fp32", "tf32", "bf16"})
      .shown();
}

void set_threads(int threads) {
  if (threads > 0) omp_set_num_threads(threads);
  resolve_setting("threads", threads_in_use());
}

Exec make_exec(const Common& common, bool told) {
  set_threads(common.threads);
  Exec exec;
  const std::optional<int> gpu = wanted_gpu(common.device);
  const int n = common.device == "cpu" ? 0 : int(gpus().size());
  if (gpu && n == 0) refuse("--device ", common.device, ": this machine or this build has no usable NVIDIA GPU");
  if (gpu && *gpu >= n) refuse("--device ", common.device, ": there are ", n, " GPUs");
  if (n > 0) {
#if BASIN_CUDA
    BASIN_CUDA_CHECK(cudaSetDevice(gpu.value_or(0)));
    exec.device = Device::cuda;
#endif
  }
  if (common.precision == "bf16") {
    if (exec.device == Device::cpu && multiplies_bfloat16())
      exec.precision = Precision::bf16;
    else
      std::fprintf(stderr,
                   "--precision bf16: not on this device, which needs AVX512_BF16 for it; the network runs in fp32\n");
  }
  if (common.precision == "tf32") {
    if (exec.device == Device::cuda && gpus().at(size_t(gpu.value_or(0))).major >= 8)
      exec.precision = Precision::tf32;
    else
      std::fprintf(stderr,
                   "--precision tf32: not on this device, which needs compute capability 8.0 for it; the network runs "
                   "in fp32\n");
  }
  if (common.precision != "fp32") resolve_setting("precision", name_of(exec.precision));
  if (told && common.device == "auto") std::fprintf(stderr, "device: %s\n", describe(exec).c_str());
  resolve_setting("device", describe(exec));
  return exec;
}

Exec make_cpu_exec(Common common) {
  if (wanted_gpu(common.device)) refuse("--device ", common.device, ": this command runs on the CPU only so far");
  const bool chosen = common.device != "auto";
  if (!chosen) common.device = "cpu";
  const Exec exec = make_exec(common);
  if (!chosen) std::fprintf(stderr, "device: %s\n", describe(exec).c_str());
  return exec;
}

void keep_inputs(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs) {
  if (out.empty()) return;  // not asked for
  for (const std::filesystem::path& in : inputs)
    if (std::error_code none; std::filesystem::equivalent(in, out, none))
      refuse(out.string(), ": is read by this command and would be written over; give another name");
}

void tell_converted(int64_t images, int channels) {
  if (images > 0)
    std::fprintf(stderr, "%s %s: the model takes %s\n", counted(images, "image").c_str(),
                 channels == 1 ? "of RGB made grey by Rec. 601" : "of grey repeated into RGB",
                 counted(channels, "channel").c_str());
}

void expect_npy(const std::filesystem::path& out) {
  if (lower_extension(out) == ".npy") return;
  std::error_code none;
  if (!std::filesystem::exists(out, none) || std::filesystem::is_regular_file(out, none))
    refuse(out.string(), ": an array is written as .npy");
}

}  // namespace basin::tools

#include "tools/cli/command.h"

#include <fmt/format.h>
#include <omp.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "engine/files.h"
#include "engine/json.h"
#include "kernels/runtime/isa.h"
#include "models/inference/views.h"
#include "tools/cli/counted.h"
#include "tools/cli/machine.h"
#include "tools/cli/run_json.h"

namespace basin::tools {
namespace {

/// The index of the GPU that --device asks for; "cuda" means the first. None for the CPU or auto.
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

Precision parse_precision(const std::string& text) {
  for (const Precision p : {Precision::fp32, Precision::tf32, Precision::bf16})
    if (text == name_of(p)) return p;
  refuse("--precision ", text, ": expected fp32, tf32 or bf16");
}

/// Whether the GPU, or the processor if there is none, has instructions for it: tensor cores, or AVX512_BF16.
bool multiplies(const Gpu* gpu, Precision precision) {
  return gpu ? gpu->major >= 8 : precision == Precision::bf16 && multiplies_bfloat16();
}

}  // namespace

void add_device_options(Command& command, Common& common) {
  command.add("--device", common.device, "where to compute: auto, cpu, cuda or cuda:INDEX").shown();
  add_threads_option(command, common.threads);
}

void add_threads_option(Command& command, int& threads) {
  constexpr int max_threads = 1024;  // more than any machine has; each thread takes memory of its own
  command.add("--threads", threads, "CPU threads; 0: all").within(0, max_threads).shown();
}

void add_ignore_label_option(Command& command, std::optional<int>& value, const std::string& use) {
  command
      .add("--ignore-label", value,
           "value of pixels in label images that are neither object nor background and are left out of " + use)
      .within(1, 2147483647);
}

std::string unused_label(int value, bool in_validation) {
  return fmt::format("--ignore-label {}: no {}label image contains this value{}", value,
                     in_validation ? "training " : "", in_validation ? ", only those of validation do" : "");
}

void add_tta_option(Command& command, bool& tta) {
  command.flag("--tta", tta,
               "average the network's maps over the eight turned and mirrored views of each image: a little more "
               "accurate, and eight times the work of the network");
}

void check_tta(bool tta, const Method& method) {
  if (tta && !can_average_views(method)) refuse("--tta: the maps of ", method.name(), " cannot be averaged over views");
}

void add_plane_options(Command& command, PlaneChoice& choice, Reads reads) {
  choice.offered = true;
  choice.offers_channels = reads == Reads::images;
  command
      .add("--axes", choice.axes,
           "axes of a stack that does not record them: ZYX, CYX; with sizes T=10,C=2 (slowest first)")
      .matching("([TZCIYXS](=[0-9]+)?[ ,]*)+", "axes, such as ZYX or T=10,C=2");
  command.add("--plane", choice.plane, "plane of a stack, as an index from 0 along each axis: Z=3,T=0")
      .matching("([TZCI]=)?[0-9]+(,([TZCI]=)?[0-9]+)*", "an index from 0 along each axis, such as Z=3,T=0");
  command.add("--series", choice.series,
              "image of an OME-Zarr store or an OME-TIFF with several, such as a plate: its index from 0, its path in "
              "the store (B/3/0), or its name in the TIFF");
  if (choice.offers_channels)
    command.add("--channel", choice.channels, "channels to read, by name or by index from 0; default: all").list();
}

void add_seed_option(Command& command, Common& common) { command.add("--seed", common.seed, "random seed").shown(); }

void add_precision_option(Command& command, Common& common) {
  command
      .add("--precision", common.precision,
           "number format of the network: fp32; tf32 on GPUs from compute capability 8.0; bf16 on those and on "
           "processors with "
           "AVX512_BF16")
      .one_of({"fp32", "tf32", "bf16"})
      .shown();
}

void set_threads(int threads) {
  if (threads > 0) omp_set_num_threads(threads);
  resolve_setting("threads", threads_in_use());
}

Exec make_exec(const Common& common, bool announce) {
  set_threads(common.threads);
  Exec exec;
  const std::optional<int> wanted_index = wanted_gpu(common.device);
  const std::vector<Gpu> all = common.device == "cpu" ? std::vector<Gpu>() : gpus();
  if (wanted_index && all.empty())
    refuse("--device ", common.device, ": this machine has no NVIDIA GPU that this build can use");
  if (wanted_index && *wanted_index >= int(all.size()))
    refuse("--device ", common.device, ": this machine has ", counted(int64_t(all.size()), "usable GPU"),
           ", numbered from 0");
  const Gpu* gpu = all.empty() ? nullptr : &all[size_t(wanted_index.value_or(0))];
#if BASIN_CUDA
  if (gpu) {
    // The pool of device memory and the plans of cuDNN belong to one GPU and one stream.
    static cudaStream_t stream = nullptr;  // never destroyed
    static int index = -1;
    if (index >= 0 && index != wanted_index.value_or(0))
      refuse("--device ", common.device, ": this process already uses GPU ", index,
             "; use another process for another GPU");
    select_gpu(common.device);
    if (!stream) BASIN_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    index = wanted_index.value_or(0);
    exec.stream = stream;
    // Memory up to this size stays in the pool when a launcher returns it, for the next one.
    cudaMemPool_t pool = nullptr;
    uint64_t kept = uint64_t(512) << 20;
    BASIN_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&pool, wanted_index.value_or(0)));
    BASIN_CUDA_CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &kept));
    exec.device = Device::cuda;
  }
#endif
  const Precision wanted = parse_precision(common.precision);
  if (wanted != Precision::fp32) {
    if (multiplies(gpu, wanted))
      exec.precision = wanted;
    else
      std::fprintf(stderr, "--precision %s: this device does not support it; the network runs in fp32\n",
                   common.precision.c_str());
    resolve_setting("precision", name_of(exec.precision));
  }
  if (announce && common.device == "auto") std::fprintf(stderr, "device: %s\n", describe(exec).c_str());
  resolve_setting("device", describe(exec));
  return exec;
}

void select_gpu([[maybe_unused]] const std::string& device) {
#if BASIN_CUDA
  BASIN_CUDA_CHECK(cudaSetDevice(wanted_gpu(device).value_or(0)));
#endif
}

void keep_inputs(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs) {
  if (out.empty()) return;  // nothing is written
  for (const std::filesystem::path& in : inputs)
    if (std::error_code none; std::filesystem::equivalent(in, out, none))
      refuse(out.string(), ": this input file would be overwritten; give another output name");
}

void report_notes(const std::vector<std::string>& notes) {
  for (const std::string& note : notes)
    std::fprintf(stderr, "basin: %s\n", note.c_str());
}

void report_converted(int64_t images, int channels) {
  if (images > 0)
    std::fprintf(stderr, "%s %s, because the model takes %s\n", counted(images, "image").c_str(),
                 channels == 1 ? "converted from RGB to grey by Rec. 601" : "converted from grey to RGB",
                 counted(channels, "channel").c_str());
}

void expect_npy(const std::filesystem::path& out) {
  if (lower_extension(out) == ".npy") return;
  std::error_code none;
  if (!std::filesystem::exists(out, none) || std::filesystem::is_regular_file(out, none))
    refuse(out.string(), ": arrays are written as .npy; give a name that ends in it");
}

}  // namespace basin::tools

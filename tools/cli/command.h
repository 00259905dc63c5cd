#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/files/stack.h"
#include "kernels/runtime/exec.h"
#include "tools/cli/options.h"

namespace basin {
class Method;
}

namespace basin::tools {

/// Options that several commands share.
struct Common {
  std::string device = "auto";  // auto, cpu, cuda, cuda:i
  int threads = 0;              // 0: as many as the machine has
  uint64_t seed = 0;
  std::string precision = "fp32";  // fp32, tf32 or bf16
};
void add_device_options(Command&, Common&);
void add_seed_option(Command&, Common&);
void add_precision_option(Command&, Common&);

/// What a command reads: this decides which options add_plane_options adds.
enum class Reads { images, labels };
/// Adds --axes, --plane and --series, which choose one image in files that contain several, and for images --channel.
/// The choice records which of these exist, so that error messages only suggest options that the command has.
void add_plane_options(Command&, PlaneChoice&, Reads = Reads::images);
/// Adds --tta: maps are averaged over the eight views of an image. check_tta() throws if the method has no such maps.
void add_tta_option(Command&, bool& tta);
void check_tta(bool tta, const Method&);
void add_threads_option(Command&, int& threads);
/// Adds --ignore-label, a value of label images. `use`: what its pixels are left out of, for --help.
void add_ignore_label_option(Command&, std::optional<int>& value, const std::string& use = "the scores");
/// A sentence that says which label images do not contain the value of --ignore-label: all, or if `in_validation` only
/// those for training.
std::string unused_label(int value, bool in_validation = false);

/// 0: as many as the machine has, or OMP_NUM_THREADS.
void set_threads(int);
/// Sets the number of threads and picks the device; a GPU gets its own stream. `cuda` throws if there is no GPU; `auto`
/// reports on stderr which device it chose, unless `announce` is false. tf32 and bf16 become fp32 on devices that do
/// not support them, which is reported on stderr.
Exec make_exec(const Common&, bool announce = true);

/// Makes the GPU of --device the current one of the calling thread, as make_exec does. A thread must call this before
/// it uses an Exec that another thread made. Does nothing in a build without CUDA.
void select_gpu(const std::string& device);

/// Throws if `out` is one of the files that the command reads.
void keep_inputs(const std::filesystem::path& out, const std::vector<std::filesystem::path>& inputs);

/// Prints one line per note on stderr: what was changed or left out.
void report_notes(const std::vector<std::string>&);

/// Reports on stderr how many images were converted for a model of this many channels, and how; nothing if none were.
void report_converted(int64_t images, int channels);

/// Throws if an array would be written to a regular file whose name does not end in .npy.
void expect_npy(const std::filesystem::path& out);

/// Runs the command line `basin ...`; returns the exit code. Failures are exceptions.
int run_program(int argc, char** argv);

// Each subcommand has its own file. It declares its options and sets a callback that does the work; a failure is an
// Error.
void add_train(Command&);
void add_tune(Command&);
void add_view(Command&);
void add_segment(Command&);
void add_evaluate(Command&);
void add_export(Command&);
void add_synth(Command&);
void add_report(Command&);
void add_merge(Command&);
void add_methods(Command&);
void add_models(Command&);
void add_oracle(Command&);
void add_field(Command&);
void add_loss(Command&);
void add_integrate(Command&);
void add_check_data(Command&);
void add_cluster(Command&);
void add_completion(Command&);
void add_manual(Command&);
void add_components(Command&);
void add_compare_models(Command&);
void add_bench(Command&);
void add_info(Command&);
void add_doctor(Command&);

}  // namespace basin::tools

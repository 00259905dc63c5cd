#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "kernels/exec.h"

namespace basin::tools {

/// What every command takes where it means something.
struct Common {
  std::string device = "auto";  // auto, cpu, cuda, cuda:i
  int threads = 0;              // 0: as many as the machine has
  uint64_t seed = 0;
};
void add_device_options(CLI::App&, Common&);
void add_seed_option(CLI::App&, Common&);

/// Sets the number of threads and picks the device. `cuda` throws where there is none; `auto` says on stderr which it
/// took.
Exec make_exec(const Common&);
/// For a command without a GPU path: auto is the CPU, cuda throws.
Exec make_cpu_exec(Common);

// One file per subcommand. Each declares its options and sets a callback that does the work; a failure is an Error.
void add_train(CLI::App&);
void add_segment(CLI::App&);
void add_evaluate(CLI::App&);
void add_synth(CLI::App&);
void add_report(CLI::App&);
void add_field(CLI::App&);
void add_loss(CLI::App&);
void add_integrate(CLI::App&);
void add_cluster(CLI::App&);
void add_components(CLI::App&);
void add_bench(CLI::App&);
void add_info(CLI::App&);
void add_doctor(CLI::App&);

}  // namespace basin::tools

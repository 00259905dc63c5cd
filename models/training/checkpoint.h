#pragma once
#include <filesystem>

#include "engine/json_fwd.h"
#include "engine/params.h"

namespace basin {

/// The state of a training run besides its parameters: only --resume needs it.
struct Checkpoint {
  int64_t step = 0;                        // number of steps done
  double best = -1;                        // the best AP50:95 of validation images so far
  int64_t best_step = 0;                   // the step at which it was reached
  Tensor m, v;                             // the optimizer's moments, on its device
  Tensor average_values, average_running;  // moving averages of the weights; empty if the run keeps none
};

/// Writes parameters, running statistics and the state of the run. `settings`: those that affect the results of the
/// run. On a GPU with exec.deterministic also writes the deterministic entries of kernels::conv_algorithm_cache(),
/// under `__metadata__["cudnn"]`. With a checksum of everything. The same content gives the same bytes. Written under a
/// temporary name and renamed.
void save_checkpoint(const std::filesystem::path&, const Exec&, const Params&, const Checkpoint&, const Json& settings);

/// Reads them back: the moments into the tensors of `at`, and on a GPU with exec.deterministic the algorithms into
/// kernels::conv_algorithm_cache(), unless another version of cuDNN chose them. Throws one sentence with the file's
/// name if it is damaged or not a checkpoint of these parameters, and one that lists all settings that have changed.
void load_checkpoint(const std::filesystem::path&, const Exec&, const Params&, Checkpoint& at, const Json& settings);

}  // namespace basin

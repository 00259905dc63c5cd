#pragma once
#include <filesystem>

#include "engine/json_fwd.h"
#include "engine/params.h"

namespace basin {

/// Where a training run stands, beside its parameters: what --resume needs, and nothing else does.
struct Checkpoint {
  int64_t step = 0;                        // steps done
  double best = -1;                        // the best validation score so far
  int64_t best_step = 0;                   // and when it was reached
  Tensor m, v;                             // the optimizer's moments, on its device
  Tensor average_values, average_running;  // moving averages of the weights; empty where the run keeps none
};

/// Writes parameters, running statistics and where the run stands. `settings`: those that decide the bytes of a run.
/// On a GPU with exec.deterministic also what kernels::conv_algorithm_cache() holds for deterministic work, under
/// `__metadata__["cudnn"]`. The same content gives the same bytes. Written under a temporary name and renamed.
void save_checkpoint(const std::filesystem::path&, const Exec&, const Params&, const Checkpoint&, const Json& settings);

/// Reads them back, the moments into the tensors of `at`, and on a GPU with exec.deterministic the algorithms into the
/// ledger, but for another cuDNN's. Throws one sentence with the file's name for what is no checkpoint of these
/// parameters, and one that names all settings that are not what they were.
void load_checkpoint(const std::filesystem::path&, const Exec&, const Params&, Checkpoint& at, const Json& settings);

}  // namespace basin

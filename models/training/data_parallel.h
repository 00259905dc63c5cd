#pragma once
#include <string>
#include <vector>

#include "engine/params.h"
#include "engine/ranks.h"

namespace basin {

/// Combines the results of several ranks, each of which processes one batch. Afterwards all ranks have the same bits of
/// gradients, running statistics and losses as one process that processes these batches one after the other, in the
/// order of the ranks. On the CPU. The tapes must keep_batch_statistics().
class DataParallel {
 public:
  DataParallel(Ranks&, Params&);

  int ranks() const { return ranks_.count(); }
  /// Call it before the forward pass of a batch; `first`: of the first batch of a step.
  void begin(bool first);
  /// Call it after the backward pass. Afterwards gradients() contains the sum over the batches of the step so far.
  void combine();
  /// The losses of all ranks, in their order: [ranks][count].
  std::vector<std::vector<float>> losses(const float* const* values, int count);

 private:
  Ranks& ranks_;
  Params& params_;
  Tensor gradients_, running_;  // over the batches so far
};

/// Throws one sentence that names the first rank whose text, of its images, labels and settings, differs from that of
/// rank 0.
void check_equal(Ranks&, const std::string& text);

}  // namespace basin

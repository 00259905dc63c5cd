#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/params.h"
#include "engine/ranks/ordered_sum.h"
#include "engine/tape.h"
#include "kernels/nn/batch_norm.h"

namespace basin {

/// The batches of the ranks as one.
std::unique_ptr<kernels::JoinedBatches> joined_batches(Ranks&);

/// Combines the results of several ranks, each of which processes one batch. Afterwards all ranks have the same bits of
/// gradients, running statistics and losses as one process that processes these batches one after the other, in the
/// order of the ranks. On the CPU.
///
/// Gradients are exchanged in buckets while the backward pass goes on, the last layers' first.
class DataParallel {
 public:
  /// `joins_batches`: batch normalisations see the batches of the ranks as one (SyncBN, Peng et al., CVPR 2018). Losses
  /// are still averaged over the batches of the ranks. `bucket`: gradients that are exchanged at once, at least.
  DataParallel(Ranks&, Params&, bool joins_batches, int64_t bucket);
  ~DataParallel();

  int ranks() const { return ranks_.count(); }
  /// Call it before the forward pass of a batch; `first`: of the first batch of a step.
  void begin(Tape&, bool first);
  /// Call it after each node of the backward pass.
  void passed(int node);
  /// Call it after the backward pass. Afterwards gradients() contains the sum over the batches of the step so far.
  void combine();
  /// The losses of all ranks, in their order: [ranks][count].
  std::vector<std::vector<float>> losses(const float* const* values, int count);

 private:
  /// A part of the gradients.
  struct Bucket {
    int64_t begin, end;
    std::vector<int> handles;  // of its parameters
    bool started = false;
  };
  void start(Bucket&);
  bool is_complete(const Bucket&, int node) const;

  Ranks& ranks_;
  Params& params_;
  Tensor gradients_, running_;  // over the batches so far
  std::vector<Bucket> buckets_;
  /// Of each parameter, the first node that was recorded after it was asked for: its gradient is complete when the
  /// backward pass has reached this node.
  std::vector<int> first_nodes_;
  OrderedSums sums_;
  std::unique_ptr<kernels::JoinedBatches> joined_;
};

/// Throws one sentence that names the first rank whose text, of its images, labels and settings, differs from that of
/// rank 0.
void check_equal(Ranks&, const std::string& text);

}  // namespace basin

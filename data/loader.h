#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "data/augment.h"
#include "data/dataset.h"
#include "engine/tensor.h"

namespace basin {

/// Makes the targets [channels, h, w] of a crop from labels [h + 2 margin, w + 2 margin]; pixels outside the image are
/// 0. Runs on a worker thread.
using MakeTargets = std::function<void(View<const int32_t, 2> labels, View<float, 3> target)>;

struct LoaderOptions {
  int batch = 2, crop = 256, margin = 0, target_channels = 2;
  uint64_t seed = 0;
  Augmentation augment;
  int workers = 1;
  int prefetch = 4;  // batches
};

/// One batch in host memory.
struct LoadedBatch {
  Tensor image;   // [N, C, crop, crop]
  Tensor mask;    // [N, 1, crop, crop], 0 or 1
  Tensor target;  // [N, target_channels, crop, crop]
  std::vector<std::string> stems;
  int64_t step = 0;
};

/// Random crops of a training set, cut, augmented and given targets on worker threads ahead of time. What a batch holds
/// depends on (seed, step) alone: an epoch is one crop of each image in an order of its own; with fewer images than a
/// batch the order wraps around, otherwise a last incomplete batch is dropped.
class Loader {
 public:
  /// Begins with the batch of step `first`. `examples` must outlive the loader.
  Loader(const std::vector<Example>& examples, const LoaderOptions&, MakeTargets, int64_t first = 0);
  ~Loader();

  /// Valid until the next call. Throws what a worker threw.
  const LoadedBatch& next();
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  struct Slot {
    LoadedBatch batch;
    int64_t step = -1;  // the one it holds or is being filled for
    bool ready = false;
  };
  void work();
  void fill(LoadedBatch&, int64_t step) const;
  void fill_sample(LoadedBatch&, int n, const Example&, Random&, std::vector<int32_t>& labels) const;

  const std::vector<Example>& examples_;
  LoaderOptions options_;
  MakeTargets make_targets_;
  int64_t steps_per_epoch_;
  std::vector<Slot> slots_;
  int64_t wanted_, taken_;  // the step that next() gives, the next that a worker takes
  bool stop_ = false;
  std::exception_ptr error_;
  std::mutex mutex_;
  std::condition_variable filled_, freed_;
  std::vector<std::thread> threads_;
};

}  // namespace basin

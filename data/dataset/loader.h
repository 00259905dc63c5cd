#pragma once
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "data/dataset/dataset.h"
#include "data/dataset/sample.h"
#include "data/dataset/sampling.h"
#include "engine/tensor.h"

namespace basin {

struct LoaderOptions {
  int batch = 2, crop = 256, margin = 0;
  TargetSpec targets;
  bool whole_image = false;  // the margin is widened where the crop and it do not cover the image
  Sampling sampling;
  DrawBy draw_by = DrawBy::images;
  int64_t draws = 0;  // samples of an epoch; 0: draws_per_epoch()
  uint64_t seed = 0;
  Augmentation augment;
  bool raw = false;  // batches are left to be prepared on a GPU; not with whole_image
  int workers = 1;
  int prefetch = 4;           // batches
  Scratch* memory = nullptr;  // for the tensors of batches; null: the CPU's pool
};

/// One batch in host memory.
struct LoadedBatch {
  Tensor image;           // [N, C, crop, crop]: normalised, augmented; 0 beyond the image. Raw: not turned yet
  TargetTensors targets;  // those of the options. Raw: none
  Tensor labels;          // raw: [N, crop + 2 margin, crop + 2 margin] int32, not turned yet
  std::vector<Transform> transforms;
  std::vector<std::string> stems;
  int64_t step = 0;
};

/// The batches of an epoch of so many samples, the rest that fills none left out; at least 1.
int64_t steps_per_epoch(int64_t draws, int batch);

/// Random samples of a training set, cut, augmented and given targets on worker threads ahead of time. What a batch
/// holds depends on (seed, step) alone. With fewer samples to an epoch than to a batch the epoch's order is repeated,
/// otherwise a last incomplete batch is dropped. What Sampling and Augmentation say is done in this order: where the
/// sample comes from, its warp, its values, and last quarter turns and flips. Targets are made of the labels that
/// result. The tensors of a batch are made once and serve again.
class Loader {
 public:
  /// Begins with the batch of step `first`. `examples` must outlive the loader. Throws if a thread cannot be started.
  Loader(const std::vector<Example>& examples, const LoaderOptions&, MakeTargets, int64_t first = 0);
  ~Loader() { stop(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Valid until the next call. Throws what a worker threw while it made this batch or a later one.
  const LoadedBatch& next();
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  const LoaderOptions& options() const { return options_; }
  const MakeTargets& make_targets() const { return make_targets_; }

 private:
  struct Slot {
    LoadedBatch batch;
    int64_t step = -1;  // the one it holds or is being filled for
    bool ready = false;
  };
  struct Workspace {  // a worker's own
    int64_t epoch = -1;
    std::vector<int> order;
    std::vector<int32_t> labels;
    std::vector<float> image;
    CutMemory cut;
  };
  void work();
  void stop();
  void fill(LoadedBatch&, int64_t step, Workspace&) const;
  void fill_sample(LoadedBatch&, int n, uint32_t epoch, uint64_t position, Workspace&) const;

  const std::vector<Example>& examples_;
  LoaderOptions options_;
  MakeTargets make_targets_;
  Sampler sampler_;
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

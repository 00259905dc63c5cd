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
  int32_t beyond = 0;  // label of pixels outside the image
  int layers = 1;      // of labels in a sample; no example has more
  TargetSpec targets;
  bool whole_image = false;  // widen the margin so that crop and margin cover the whole image
  Sampling sampling = Sampling::crop;
  DrawBy draw_by = DrawBy::images;
  int64_t draws = 0;  // samples per epoch; 0: draws_per_epoch()
  uint64_t seed = 0;
  int64_t stride = 1, offset = 0;  // prepares the batches of steps offset, offset + stride, ...: a rank's share of them
  Augmentation augment;
  bool raw = false;  // leave batches to be prepared on a GPU; not with whole_image
  int workers = 1;
  int prefetch = 4;           // number of batches prepared in advance
  Scratch* memory = nullptr;  // allocates the tensors of batches; null: the CPU's pool
};

/// One batch in host memory.
struct LoadedBatch {
  Tensor image;           // [N, C, crop, crop]: normalised, augmented; 0 outside the image. Raw: not yet rotated
  TargetTensors targets;  // the targets of the options; none if raw
  Tensor labels;          // if raw: [N, layers, crop + 2 margin, crop + 2 margin] int32, not rotated or flipped yet
  std::vector<Transform> transforms;
  std::vector<std::string> stems;
  int64_t step = 0;
};

/// The number of batches in an epoch of `draws` samples; an incomplete last batch is dropped, but there is at least
/// one.
int64_t steps_per_epoch(int64_t draws, int batch);

/// Random samples of a training set, cut, augmented and given targets on worker threads ahead of time. A batch depends
/// only on (seed, step). If an epoch has fewer samples than a batch, its order is repeated; otherwise an incomplete
/// last batch is dropped. Sampling and augmentation are applied in this order: position of the sample, warp, values,
/// and finally quarter turns and flips. Targets are computed from the resulting labels. The tensors of batches are
/// allocated once and reused.
class Loader {
 public:
  /// Starts with the batch of step `first`, or with batch `first` of its share. `examples` must outlive the loader.
  /// Throws if a thread cannot be started.
  Loader(const std::vector<Example>& examples, const LoaderOptions&, MakeTargets, int64_t first = 0);
  ~Loader() { stop(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The next batch, valid until the next call. Rethrows what a worker threw while it prepared this batch or a later
  /// one.
  const LoadedBatch& next();
  int64_t steps_per_epoch() const { return steps_per_epoch_; }
  const LoaderOptions& options() const { return options_; }
  const MakeTargets& make_targets() const { return make_targets_; }

 private:
  struct Slot {
    LoadedBatch batch;
    int64_t step = -1;  // the step, counted within the share, whose batch it holds or will hold
    bool ready = false;
  };
  struct Workspace {  // of one worker
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
  int64_t wanted_, taken_;  // the step that next() returns next, and the one that a worker takes next
  bool stop_ = false;
  std::exception_ptr error_;
  std::mutex mutex_;
  std::condition_variable filled_, freed_;
  std::vector<std::thread> threads_;
};

}  // namespace basin

#pragma once
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "data/augment.h"
#include "data/dataset.h"
#include "engine/tensor.h"

namespace basin {

/// Makes the targets [channels, h, w] of a crop from labels [h + 2 margin, w + 2 margin]. Pixels outside the image are
/// 0, so an image's border is an object's border, and a crop's is not: with a margin as wide as the targets reach, they
/// are those of the whole image, cut. Runs on worker threads, several at a time.
using MakeTargets = std::function<void(View<const int32_t, 2> labels, View<float, 3> target)>;

struct LoaderOptions {
  int batch = 2, crop = 256, margin = 0, target_channels = 2;
  bool whole_image = false;  // the margin is widened where the crop and it do not cover the image
  uint64_t seed = 0;
  Augmentation augment;
  int workers = 1;
  int prefetch = 4;           // batches
  Scratch* memory = nullptr;  // for the tensors of batches; null: the CPU's pool
};

/// One batch in host memory.
struct LoadedBatch {
  Tensor image;   // [N, C, crop, crop]: normalised, augmented; 0 beyond the image
  Tensor mask;    // [N, 1, crop, crop], 0 or 1
  Tensor target;  // [N, target_channels, crop, crop]
  std::vector<std::string> stems;
  int64_t step = 0;
};

/// Crops of every image once, the rest that fills no batch left out; at least 1.
int64_t steps_per_epoch(int64_t images, int batch);

/// Random crops of a training set, cut, augmented and given targets on worker threads ahead of time. What a batch holds
/// depends on (seed, step) alone: an epoch is one crop of each image in an order of its own; with fewer images than a
/// batch the order wraps around, otherwise a last incomplete batch is dropped. An image smaller than the crop is padded
/// by ceil((crop - size) / 2) zeros on both sides. The tensors of a batch are made once and serve again.
class Loader {
 public:
  /// Begins with the batch of step `first`. `examples` must outlive the loader.
  Loader(const std::vector<Example>& examples, const LoaderOptions&, MakeTargets, int64_t first = 0);
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Valid until the next call. Throws what a worker threw while it made this batch or a later one.
  const LoadedBatch& next();
  int64_t steps_per_epoch() const { return steps_per_epoch_; }

 private:
  struct Slot {
    LoadedBatch batch;
    int64_t step = -1;  // the one it holds or is being filled for
    bool ready = false;
  };
  struct Workspace {  // a worker's own
    int64_t epoch = -1;
    std::vector<int> order;
    std::vector<int32_t> window, labels;
    std::vector<float> values;
  };
  struct Window {  // where a crop lies in the image's own coordinates
    int y0, x0, size;
  };
  void work();
  void fill(LoadedBatch&, int64_t step, Workspace&) const;
  void fill_sample(LoadedBatch&, int n, const Example&, uint32_t epoch, uint64_t position, Workspace&) const;
  void cut_labels(const Example&, Window, std::vector<int32_t>& ids) const;
  void cut_image(const Source&, int channel, Window, const Transform&, Random& noise, std::vector<float>& values) const;

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

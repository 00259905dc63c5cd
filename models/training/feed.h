#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset/loader.h"
#include "models/method.h"

namespace basin {

/// How training samples of a method are loaded for this device, as its sample_spec() and targets() require. The caller
/// sets the size of batches and crops, the seed, the augmentation and the number of workers.
LoaderOptions loader_options(const Exec&, const Method&);
/// The method's targets, for a Loader. The method must outlive it.
MakeTargets target_maker(const Method&);

/// The batches of a Loader, on the device that trains. A GPU holds two of them: while a step works on one, the next is
/// copied to the other on a separate stream, and prepared there if the loader leaves it raw.
class Feed {
 public:
  /// `loader` must outlive this. If exec is a GPU, its batches must be in pinned_memory().
  Feed(const Exec&, Loader&);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  struct Item {
    Batch batch;  // "image" and the targets
    std::vector<std::string> stems;
  };
  /// The next batch, ready for work queued on exec.stream from now on. Valid until the next call.
  const Item& next();
  /// Starts copying the next batch. Call it when all work on the current batch is queued on exec.stream, unless this is
  /// the last batch.
  void prefetch();

 private:
  class Copies;
  Loader& loader_;
  Item item_;                       // on the CPU
  std::unique_ptr<Copies> copies_;  // on a GPU
};

}  // namespace basin

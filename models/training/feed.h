#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset/loader.h"
#include "models/method.h"

namespace basin {

/// The batches of a Loader, where the steps run. On a GPU two of them take turns in its memory: while a step works on
/// one, the next is copied into the other on a stream of its own, and prepared there where the loader leaves it raw.
class Feed {
 public:
  /// The loader, whose batches lie in pinned_memory() where exec is a GPU, must outlive it.
  Feed(const Exec&, Loader&);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  struct Item {
    Batch batch;  // "image" and the targets
    std::vector<std::string> stems;
  };
  /// The next batch. Work that is put on exec.stream from now on finds it there. Valid until the next call.
  const Item& next();
  /// To be called when the work on the batch is on exec.stream, unless it is the last: begins to copy the next.
  void prefetch();

 private:
  class Copies;
  Loader& loader_;
  Item item_;                       // on the CPU
  std::unique_ptr<Copies> copies_;  // on a GPU
};

}  // namespace basin

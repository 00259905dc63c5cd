#include "models/feed.h"

namespace basin {
namespace {

Batch batch_of(const Tensor& image, const Tensor& mask, const Tensor& target) {
  return {{{"image", image}, {"mask", mask}, {"target", target}}, {}};
}

}  // namespace

#if BASIN_CUDA
/// Events mark how far each stream came: `copied` that a batch has arrived, `used` that the step on it is over.
class Feed::Copies {
 public:
  Copies(const Exec& exec, Loader& loader) : exec_(exec), loader_(loader) {
    BASIN_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
    for (Slot& slot : slots_)
      for (cudaEvent_t* event : {&slot.copied, &slot.used})
        BASIN_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
  }
  ~Copies() {
    cudaStreamSynchronize(stream_);
    for (Slot& slot : slots_)
      for (cudaEvent_t event : {slot.copied, slot.used})
        cudaEventDestroy(event);
    cudaStreamDestroy(stream_);
  }
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  const Item& next() {
    if (!fetched_) prefetch();
    fetched_ = false;
    const Slot& slot = slots_[now_];
    BASIN_CUDA_CHECK(cudaStreamWaitEvent(exec_.stream, slot.copied, 0));
    return slot.item;
  }

  void prefetch() {
    if (slots_[now_].item.batch.tensors.empty()) return fetch();  // the very first
    BASIN_CUDA_CHECK(cudaEventRecord(slots_[now_].used, exec_.stream));
    BASIN_CUDA_CHECK(cudaEventSynchronize(slots_[now_].copied));  // the loader fills that memory again
    now_ = 1 - now_;
    fetch();
  }

 private:
  struct Slot {
    Item item;
    cudaEvent_t copied = nullptr, used = nullptr;
  };

  void fetch() {
    const LoadedBatch& loaded = loader_.next();
    Slot& slot = slots_[now_];
    if (slot.item.batch.tensors.empty()) {
      const auto like = [&](const Tensor& t) { return Tensor::empty(exec_, t.shape(), t.dtype()); };
      slot.item.batch = batch_of(like(loaded.image), like(loaded.mask), like(loaded.target));
      BASIN_CUDA_CHECK(cudaEventRecord(slot.used, exec_.stream));  // by whoever had that memory before
    }
    BASIN_CUDA_CHECK(cudaStreamWaitEvent(stream_, slot.used, 0));
    const std::pair<const char*, const Tensor*> parts[] = {
        {"image", &loaded.image}, {"mask", &loaded.mask}, {"target", &loaded.target}};
    for (const auto& [name, from] : parts)
      BASIN_CUDA_CHECK(
          cudaMemcpyAsync(slot.item.batch[name].raw(), from->raw(), from->bytes(), cudaMemcpyHostToDevice, stream_));
    BASIN_CUDA_CHECK(cudaEventRecord(slot.copied, stream_));
    slot.item.stems = loaded.stems;
    fetched_ = true;
  }

  Exec exec_;
  Loader& loader_;
  cudaStream_t stream_ = nullptr;
  Slot slots_[2];
  int now_ = 0;
  bool fetched_ = false;  // slots_[now_] holds, or will hold, a batch that next() has not given yet
};
#else
class Feed::Copies {};
#endif

Feed::Feed(const Exec& exec, Loader& loader) : loader_(loader) {
#if BASIN_CUDA
  if (exec.device == Device::cuda) copies_ = std::make_unique<Copies>(exec, loader);
#endif
  BASIN_CHECK(exec.device == Device::cpu || copies_, "this build has no CUDA");
}
Feed::~Feed() = default;

const Feed::Item& Feed::next() {
#if BASIN_CUDA
  if (copies_) return copies_->next();
#endif
  const LoadedBatch& loaded = loader_.next();
  item_ = {batch_of(loaded.image, loaded.mask, loaded.target), loaded.stems};
  return item_;
}

void Feed::prefetch() {
#if BASIN_CUDA
  if (copies_) copies_->prefetch();
#endif
}

}  // namespace basin

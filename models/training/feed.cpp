#include "models/training/feed.h"

#include <array>

#include "engine/batch.h"
#include "engine/pool.h"

namespace basin {
namespace {

Batch batch_of(const Tensor& image, const TargetTensors& targets) {
  Batch batch{targets};
  batch.tensors.emplace("image", image);
  return batch;
}

}  // namespace

LoaderOptions loader_options(const Exec& exec, const Method& method) {
  const SampleSpec spec = method.sample_spec();
  LoaderOptions o;
  o.margin = spec.margin, o.beyond = spec.beyond, o.layers = spec.layers, o.targets = method.targets();
  o.whole_image = spec.whole_objects, o.sampling = spec.sampling;
  if (exec.device != Device::cpu) o.memory = &pinned_memory(), o.raw = !spec.whole_objects && !spec.host_targets;
  return o;
}

MakeTargets target_maker(const Method& method) {
  return [&method](const Exec& exec, View<const int32_t, 3> labels, const SampleTargets& to) {
    method.make_targets(exec, labels, to);
  };
}

#if BASIN_CUDA
/// Events mark how far each stream has come. `read`: the host memory may be reused. `ready`: the batch may be used.
/// `used`: the step on the batch is done.
class Feed::Copies {
 public:
  Copies(const Exec& exec, Loader& loader) : exec_(exec), beside_(exec), pool_(exec.device), loader_(loader) {
    BASIN_CUDA_CHECK(cudaStreamCreateWithFlags(&beside_.stream, cudaStreamNonBlocking));
    beside_.scratch = &pool_;  // for work on this stream only
    for (Slot& slot : slots_)
      for (cudaEvent_t* event : slot.events())
        BASIN_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
  }
  ~Copies() {
    cudaStreamSynchronize(beside_.stream);
    for (Slot& slot : slots_)
      for (cudaEvent_t* event : slot.events())
        cudaEventDestroy(*event);
    cudaStreamDestroy(beside_.stream);
  }
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  const Item& next() {
    if (!fetched_) prefetch();
    fetched_ = false;
    BASIN_CUDA_CHECK(cudaStreamWaitEvent(exec_.stream, slots_[now_].ready, 0));
    return slots_[now_].item;
  }

  void prefetch() {
    if (slots_[now_].item.batch.tensors.empty()) return fetch();  // the first batch
    BASIN_CUDA_CHECK(cudaEventRecord(slots_[now_].used, exec_.stream));
    BASIN_CUDA_CHECK(cudaEventSynchronize(slots_[now_].read));
    now_ = 1 - now_;
    fetch();
  }

 private:
  struct Slot {
    Item item;
    TargetTensors targets;  // those of the item's batch
    cudaEvent_t read = nullptr, ready = nullptr, used = nullptr;

    std::array<cudaEvent_t*, 3> events() { return {&read, &ready, &used}; }
  };

  void fetch() {
    const LoadedBatch& loaded = loader_.next();
    Slot& slot = slots_[now_];
    if (slot.item.batch.tensors.empty()) {
      const LoaderOptions& o = loader_.options();
      slot.targets = make_target_tensors(exec_, o.targets, o.batch, o.crop, o.crop);
      slot.item.batch = batch_of(Tensor::empty(exec_, loaded.image.shape()), slot.targets);
      BASIN_CUDA_CHECK(cudaEventRecord(slot.used, exec_.stream));  // by the previous user of that memory
    }
    BASIN_CUDA_CHECK(cudaStreamWaitEvent(beside_.stream, slot.used, 0));
    const Batch& batch = slot.item.batch;
    if (loaded.labels) {
      if (!labels_) labels_ = Tensor::empty(beside_, loaded.labels.shape(), DType::i32);
      if (!image_) image_ = Tensor::empty(beside_, loaded.image.shape());
      copy(loaded.image, image_);
      copy(loaded.labels, labels_);
    } else {
      copy(loaded.image, batch["image"]);
      for (const auto& [name, target] : loaded.targets)
        copy(target, batch[name]);
    }
    BASIN_CUDA_CHECK(cudaEventRecord(slot.read, beside_.stream));
    if (loaded.labels) prepare_all(loaded.transforms, slot);
    BASIN_CUDA_CHECK(cudaEventRecord(slot.ready, beside_.stream));
    slot.item.stems = loaded.stems;
    fetched_ = true;
  }

  void copy(const Tensor& from, const Tensor& to) const {
    BASIN_CUDA_CHECK(cudaMemcpyAsync(to.raw(), from.raw(), from.bytes(), cudaMemcpyHostToDevice, beside_.stream));
  }

  void prepare_all(const std::vector<Transform>& transforms, const Slot& slot) const {
    clear_tables(beside_, loader_.options().targets, slot.targets);
    const int layers = labels_.dim(1), size = labels_.dim(2);
    for (int n = 0; n < labels_.dim(0); ++n)
      prepare(beside_,
              {image_of<float>(image_, n),
               {labels_.data<const int32_t>() + int64_t(n) * layers * size * size, {layers, size, size}},
               transforms[size_t(n)]},
              loader_.make_targets(), image_of<float>(slot.item.batch["image"], n), SampleTargets(slot.targets, n));
  }

  Exec exec_, beside_;
  Pool pool_;
  Loader& loader_;
  Tensor image_, labels_;  // as the loader leaves them
  Slot slots_[2];
  int now_ = 0;
  bool fetched_ = false;  // slots_[now_] holds, or will hold, a batch that next() has not returned yet
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
  item_ = {batch_of(loaded.image, loaded.targets), loaded.stems};
  return item_;
}

void Feed::prefetch() {
#if BASIN_CUDA
  if (copies_) copies_->prefetch();
#endif
}

}  // namespace basin

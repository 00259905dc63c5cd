#include "data/dataset/loader.h"

#include <omp.h>

#include <algorithm>
#include <system_error>

#include "data/dataset/values.h"
#include "engine/batch.h"

namespace basin {

int64_t steps_per_epoch(int64_t draws, int batch) { return std::max<int64_t>(1, draws / batch); }

Loader::Loader(const std::vector<Example>& examples, const LoaderOptions& options, MakeTargets make_targets,
               int64_t first)
    : examples_(examples),
      options_(options),
      make_targets_(std::move(make_targets)),
      sampler_(examples, {options.sampling, options.draw_by, options.draws, options.crop, options.seed}),
      steps_per_epoch_(basin::steps_per_epoch(sampler_.draws(), std::max(1, options.batch))),
      wanted_(first),
      taken_(first) {
  BASIN_CHECK(!examples.empty() && options.batch > 0 && options.crop > 0 && options.margin >= 0 && first >= 0,
              "a loader cannot make batches of ", options.batch, " crops of ", options.crop,
              " pixels with a margin of ", options.margin, " from ", examples.size(), " images, beginning with step ",
              first);
  BASIN_CHECK(!options.raw || !options.whole_image,
              "raw batches cannot contain labels of whole images, which differ in size");
  for (const Example& e : examples) {
    BASIN_CHECK(e.source.channels() == examples[0].source.channels(), e.stem, " has ", e.source.channels(),
                " channels, but ", examples[0].stem, " has ", examples[0].source.channels());
    BASIN_CHECK(e.layer_count() <= options.layers, e.stem, " has ", e.layer_count(), " layers of labels, samples have ",
                options.layers);
  }
  Exec cpu;
  cpu.scratch = options.memory;
  const int64_t n = options.batch, c = options.crop;
  slots_.resize(size_t(std::max(1, options.prefetch)) + 1);
  for (Slot& s : slots_) {
    s.batch.image = Tensor::zeros(cpu, {n, examples[0].source.channels(), c, c});
    if (options.raw) {
      const int64_t size = c + 2 * options.margin;
      s.batch.labels = Tensor::zeros(cpu, {n, options.layers, size, size}, DType::i32);
    } else {
      s.batch.targets = make_target_tensors(cpu, options.targets, n, c, c);
    }
    s.batch.transforms.resize(size_t(n));
    s.batch.stems.resize(size_t(n));
  }
  try {
    for (int k = 0; k < std::max(1, options.workers); ++k)
      threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& e) {
    stop();
    refuse("a thread that prepares training samples could not be started: ", e.what());
  }
}

void Loader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  freed_.notify_all();
  for (std::thread& t : threads_)
    t.join();
}

const LoadedBatch& Loader::next() {
  std::unique_lock lock(mutex_);
  Slot& slot = slots_[size_t(wanted_) % slots_.size()];
  const auto filled = [&] { return slot.ready && slot.step == wanted_; };
  filled_.wait(lock, [&] { return error_ || filled(); });
  if (!filled()) std::rethrow_exception(error_);
  ++wanted_;  // frees the previous slot for the workers
  freed_.notify_all();
  return slot.batch;
}

void Loader::work() {
  omp_set_num_threads(1);  // the cores belong to the training step
  Workspace workspace;
  const int64_t ahead = int64_t(slots_.size()) - 1;
  std::unique_lock lock(mutex_);
  while (true) {
    freed_.wait(lock, [&] { return stop_ || taken_ < wanted_ + ahead; });
    if (stop_) return;
    const int64_t step = taken_++;
    Slot& slot = slots_[size_t(step) % slots_.size()];
    slot.step = step;
    slot.ready = false;
    lock.unlock();
    try {
      fill(slot.batch, step * options_.stride + options_.offset, workspace);
    } catch (...) {
      lock.lock();
      error_ = std::current_exception();
      filled_.notify_all();
      return;
    }
    lock.lock();
    slot.ready = true;
    filled_.notify_all();
  }
}

void Loader::fill(LoadedBatch& batch, int64_t step, Workspace& workspace) const {
  const int64_t epoch = step / steps_per_epoch_, within = step % steps_per_epoch_;
  if (workspace.epoch != epoch) {
    sampler_.order(epoch, workspace.order);
    workspace.epoch = epoch;
  }
  batch.step = step;
  if (!options_.raw) clear_tables(Exec(), options_.targets, batch.targets);
  for (int n = 0; n < options_.batch; ++n)
    fill_sample(batch, n, uint32_t(epoch), uint64_t(within * options_.batch + n), workspace);
}

void Loader::fill_sample(LoadedBatch& batch, int n, uint32_t epoch, uint64_t position, Workspace& workspace) const {
  const SampleKey key{options_.seed, epoch, position};
  Random place(key.seed, Purpose::crop, epoch, position), choice(key.seed, Purpose::augment, epoch, position);
  const Sampler::Choice chosen = sampler_.choose(workspace.order, position, place);
  const Example& example = examples_[size_t(chosen.image)];
  const Source& source = example.source;
  const int height = source.height(), width = source.width(), crop = options_.crop;
  const Drawn drawn = draw_augmentation(options_.augment, crop, choice);
  Placement from = sampler_.place(chosen, drawn.warp.scale, place);
  if (drawn.warp.any()) from = warped(from, drawn.warp);
  batch.stems[size_t(n)] = example.stem;
  batch.transforms[size_t(n)] = drawn.transform;

  const int margin = options_.margin + (options_.whole_image ? margin_of_whole_image(from, height, width) : 0);
  const int size = crop + 2 * margin, layers = options_.layers;
  const int64_t pixels = int64_t(size) * size;
  const auto cut = [&](int32_t* ids, View<float, 3> image) {
    for (int layer = 0; layer < layers; ++layer)
      cut_labels(example, from, margin, workspace.cut, ids + layer * pixels, options_.beyond, layer);
    if (from.mirror && reaches_beyond(from, height, width)) separate_pieces(layers, size, workspace.cut, ids);
    if (options_.sampling != Sampling::crop) close_gaps(layers * pixels, ids);
    const Inside within = inside(from, height, width, workspace.cut);
    ValueChanger values(key, drawn.transform, drawn.change, within, crop);
    for (int c = 0; c < source.channels(); ++c) {
      cut_channel(source, c, from, workspace.cut, &image(c, 0, 0));
      values.apply(&image(c, 0, 0), workspace.cut);
    }
  };
  const View<float, 3> image = image_of<float>(batch.image, n);
  if (options_.raw) return cut(&batch.labels.view<int32_t, 4>()(n, 0, 0, 0), image);
  workspace.labels.resize(size_t(layers * pixels));
  workspace.image.resize(size_t(image.size()));
  const View<float, 3> unturned{workspace.image.data(), {source.channels(), crop, crop}};
  cut(workspace.labels.data(), unturned);
  with_name(example.stem, [&] {
    prepare(Exec(), {unturned, {workspace.labels.data(), {layers, size, size}}, drawn.transform}, make_targets_, image,
            SampleTargets(batch.targets, n));
  });
}

}  // namespace basin

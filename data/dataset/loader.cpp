#include "data/dataset/loader.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <system_error>

#include "engine/batch.h"

namespace basin {
namespace {

/// The images of an epoch in their order.
void shuffle(uint64_t seed, int64_t epoch, std::vector<int>& order) {
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, Purpose::order, uint32_t(epoch));
  for (int i = int(order.size()) - 1; i > 0; --i)
    std::swap(order[size_t(i)], order[size_t(random.below(i + 1))]);
}

/// Where a crop begins in an image padded to at least the crop's size, in the image's own coordinates.
int crop_start(int image, int crop, Random& random) {
  const int padding = image < crop ? (crop - image + 1) / 2 : 0;
  return random.below(image + 2 * padding - crop + 1) - padding;
}

/// Adds noise of this standard deviation to n values (Box and Muller: two normal numbers from two uniform ones).
void add_noise(float deviation, Random& random, int n, float* values) {
  for (int i = 0; i < n; i += 2) {
    const float radius = deviation * std::sqrt(-2 * std::log(1 - random.uniform()));
    const float angle = 6.2831853f * random.uniform();
    values[i] += radius * std::cos(angle);
    if (i + 1 < n) values[i + 1] += radius * std::sin(angle);
  }
}

}  // namespace

int64_t steps_per_epoch(int64_t images, int batch) { return std::max<int64_t>(1, images / batch); }

Loader::Loader(const std::vector<Example>& examples, const LoaderOptions& options, MakeTargets make_targets,
               int64_t first)
    : examples_(examples), options_(options), make_targets_(std::move(make_targets)), wanted_(first), taken_(first) {
  BASIN_CHECK(!examples.empty() && options.batch > 0 && options.crop > 0 && options.margin >= 0 && first >= 0,
              "a loader cannot make batches of ", options.batch, " crops of ", options.crop,
              " pixels with a margin of ", options.margin, " from ", examples.size(), " images, beginning with step ",
              first);
  BASIN_CHECK(!options.raw || !options.whole_image,
              "the labels of whole images differ in size, which raw batches cannot");
  for (const Example& e : examples)
    BASIN_CHECK(e.source.channels() == examples[0].source.channels(), e.stem, " has ", e.source.channels(),
                " channels, but ", examples[0].stem, " has ", examples[0].source.channels());
  steps_per_epoch_ = basin::steps_per_epoch(int64_t(examples.size()), options.batch);
  Exec cpu;
  cpu.scratch = options.memory;
  const int64_t n = options.batch, c = options.crop;
  slots_.resize(size_t(std::max(1, options.prefetch)) + 1);
  for (Slot& s : slots_) {
    s.batch.image = Tensor::zeros(cpu, {n, examples[0].source.channels(), c, c});
    if (options.raw) {
      const int64_t size = c + 2 * options.margin;
      s.batch.labels = Tensor::zeros(cpu, {n, size, size}, DType::i32);
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
  ++wanted_;  // gives the slot before it back to the workers
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
      fill(slot.batch, step, workspace);
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
  const size_t images = examples_.size();
  const int64_t epoch = step / steps_per_epoch_, within = step % steps_per_epoch_;
  if (workspace.epoch != epoch) {
    workspace.order.resize(images);
    shuffle(options_.seed, epoch, workspace.order);
    workspace.epoch = epoch;
  }
  batch.step = step;
  if (!options_.raw) clear_tables(Exec(), options_.targets, batch.targets);
  for (int n = 0; n < options_.batch; ++n) {
    const uint64_t position = uint64_t(within * options_.batch + n);
    const Example& example = examples_[size_t(workspace.order[position % images])];
    fill_sample(batch, n, example, uint32_t(epoch), position, workspace);
    batch.stems[size_t(n)] = example.stem;
  }
}

void Loader::fill_sample(LoadedBatch& batch, int n, const Example& example, uint32_t epoch, uint64_t position,
                         Workspace& workspace) const {
  const Source& source = example.source;
  const int crop = options_.crop;
  Random place(options_.seed, Purpose::crop, epoch, position), choice(options_.seed, Purpose::augment, epoch, position);
  const int y0 = crop_start(source.height(), crop, place), x0 = crop_start(source.width(), crop, place);
  int margin = options_.margin;
  if (options_.whole_image)
    margin += std::max({0, y0, x0, source.height() - (y0 + crop), source.width() - (x0 + crop)});
  const int size = crop + 2 * margin;
  const Transform transform = draw_transform(options_.augment, choice);

  batch.transforms[size_t(n)] = transform;

  const Window with_margin{y0 - margin, x0 - margin, size}, window{y0, x0, crop};
  const auto cut_images = [&](View<float, 3> to) {
    Random noise(options_.seed, Purpose::noise, epoch, position);
    for (int c = 0; c < source.channels(); ++c)
      cut_image(source, c, window, transform, noise, &to(c, 0, 0));
  };
  const View<float, 3> image = image_of<float>(batch.image, n);
  if (options_.raw) {
    cut_labels(example, with_margin, &batch.labels.view<int32_t, 3>()(n, 0, 0));
    return cut_images(image);
  }
  workspace.labels.resize(size_t(size) * size_t(size));
  workspace.image.resize(size_t(image.size()));
  cut_labels(example, with_margin, workspace.labels.data());
  cut_images({workspace.image.data(), {source.channels(), crop, crop}});
  prepare(
      Exec(),
      {{workspace.image.data(), {source.channels(), crop, crop}}, {workspace.labels.data(), {size, size}}, transform},
      make_targets_, image, SampleTargets(batch.targets, n));
}

void Loader::cut_labels(const Example& example, Window window, int32_t* ids) const {
  std::fill_n(ids, size_t(window.size) * size_t(window.size), 0);
  const int begin = std::max(0, -window.x0), end = std::min(window.size, example.source.width() - window.x0);
  if (begin >= end) return;
  for (int y = std::max(0, -window.y0); y < std::min(window.size, example.source.height() - window.y0); ++y)
    example.labels.row(window.y0 + y, window.x0 + begin, end - begin, ids + size_t(y) * size_t(window.size) + begin);
}

void Loader::cut_image(const Source& source, int channel, Window window, const Transform& transform, Random& noise,
                       float* values) const {
  std::fill_n(values, size_t(window.size) * size_t(window.size), 0.f);
  const int begin = std::max(0, -window.x0), end = std::min(window.size, source.width() - window.x0);
  if (begin >= end) return;
  for (int y = std::max(0, -window.y0); y < std::min(window.size, source.height() - window.y0); ++y) {
    float* row = values + size_t(y) * size_t(window.size) + begin;
    source.row(channel, window.y0 + y, window.x0 + begin, end - begin, row);
    if (options_.augment.brightness) {
      for (int x = 0; x < end - begin; ++x)
        row[x] = row[x] * transform.gain + transform.offset;
    }
    if (transform.noise > 0) add_noise(transform.noise, noise, end - begin, row);
  }
}

}  // namespace basin

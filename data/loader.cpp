#include "data/loader.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace basin {
namespace {

/// The images of an epoch in their order.
std::vector<int> epoch_order(int images, uint64_t seed, int64_t epoch) {
  std::vector<int> order(size_t(images), 0);
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, Purpose::order, uint32_t(epoch));
  for (int i = images - 1; i > 0; --i)
    std::swap(order[size_t(i)], order[size_t(random.below(i + 1))]);
  return order;
}

/// Where a crop begins in an image padded to at least the crop's size, in the image's own coordinates.
int crop_start(int image, int crop, Random& random) {
  const int padding = image < crop ? (crop - image + 1) / 2 : 0;
  return random.below(image + 2 * padding - crop + 1) - padding;
}

float gaussian(Random& random) {
  const float u = 1 - random.uniform(), v = random.uniform();
  return std::sqrt(-2 * std::log(u)) * std::cos(6.2831853f * v);
}

}  // namespace

Loader::Loader(const std::vector<Example>& examples, const LoaderOptions& options, MakeTargets make_targets,
               int64_t first)
    : examples_(examples), options_(options), make_targets_(std::move(make_targets)), wanted_(first), taken_(first) {
  BASIN_CHECK(!examples.empty() && options.batch > 0 && options.crop > 0, "nothing to load");
  steps_per_epoch_ = std::max<int64_t>(1, int64_t(examples.size()) / options.batch);
  const Exec cpu;
  const int64_t n = options.batch, c = options.crop;
  slots_.resize(size_t(std::max(1, options.prefetch)) + 1);
  for (Slot& s : slots_) {
    s.batch.image = Tensor::zeros(cpu, {n, examples[0].source.channels(), c, c});
    s.batch.mask = Tensor::zeros(cpu, {n, 1, c, c});
    s.batch.target = Tensor::zeros(cpu, {n, options.target_channels, c, c});
    s.batch.stems.resize(size_t(n));
  }
  for (int k = 0; k < std::max(1, options.workers); ++k)
    threads_.emplace_back([this] { work(); });
}

Loader::~Loader() {
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
  const auto finished = [&] { return error_ || (slot.ready && slot.step == wanted_); };
  filled_.wait(lock, finished);
  if (error_) std::rethrow_exception(error_);
  ++wanted_;  // gives the slot before it back to the workers
  freed_.notify_all();
  return slot.batch;
}

void Loader::work() {
  omp_set_num_threads(1);
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
      fill(slot.batch, step);
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

void Loader::fill(LoadedBatch& batch, int64_t step) const {
  const int images = int(examples_.size());
  const int64_t epoch = step / steps_per_epoch_, within = step % steps_per_epoch_;
  const std::vector<int> order = epoch_order(images, options_.seed, epoch);
  std::vector<int32_t> labels;
  batch.step = step;
  for (int n = 0; n < options_.batch; ++n) {
    const int64_t position = within * options_.batch + n;
    const Example& example = examples_[size_t(order[size_t(position % images)])];
    Random random(options_.seed, Purpose::crop, uint32_t(epoch), uint64_t(position));
    fill_sample(batch, n, example, random, labels);
    batch.stems[size_t(n)] = example.stem;
  }
}

void Loader::fill_sample(LoadedBatch& batch, int n, const Example& example, Random& random,
                         std::vector<int32_t>& labels) const {
  const Source& source = example.source;
  const int crop = options_.crop, height = source.height(), width = source.width(), margin = options_.margin;
  const int y0 = crop_start(height, crop, random), x0 = crop_start(width, crop, random);
  const Transform t = draw_transform(options_.augment, random);
  const auto inside = [&](int y, int x) { return y >= 0 && y < height && x >= 0 && x < width; };

  const int size = crop + 2 * margin;
  labels.resize(size_t(size) * size_t(size));
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      int from_y, from_x;
      t.source(size, y, x, from_y, from_x);
      from_y += y0 - margin, from_x += x0 - margin;
      labels[size_t(y) * size_t(size) + size_t(x)] = inside(from_y, from_x) ? example.id(from_y, from_x) : 0;
    }
  const View<float, 4> mask = batch.mask.view<float, 4>(), image = batch.image.view<float, 4>();
  for (int y = 0; y < crop; ++y)
    for (int x = 0; x < crop; ++x)
      mask(n, 0, y, x) = labels[size_t(y + margin) * size_t(size) + size_t(x + margin)] ? 1.f : 0.f;

  std::vector<float> values(size_t(crop) * size_t(crop));
  for (int c = 0; c < source.channels(); ++c) {
    std::fill(values.begin(), values.end(), 0.f);  // beyond the image
    const int begin = std::max(0, -x0), end = std::min(crop, width - x0);
    for (int y = std::max(0, -y0); y < std::min(crop, height - y0); ++y)
      if (end > begin)
        source.row(c, y0 + y, x0 + begin, end - begin, &values[size_t(y) * size_t(crop) + size_t(begin)]);
    for (int y = 0; y < crop; ++y)
      for (int x = 0; x < crop; ++x) {
        int from_y, from_x;
        t.source(crop, y, x, from_y, from_x);
        float v = values[size_t(from_y) * size_t(crop) + size_t(from_x)] * t.gain + t.offset;
        if (t.noise > 0) v += t.noise * gaussian(random);
        image(n, c, y, x) = v;
      }
  }
  View<float, 3> target{&batch.target.view<float, 4>()(n, 0, 0, 0), {options_.target_channels, crop, crop}};
  make_targets_(View<const int32_t, 2>{labels.data(), {size, size}}, target);
}

}  // namespace basin

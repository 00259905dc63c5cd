#include <cstring>
#include <memory>

#include "data/synth/synth.h"
#include "engine/json.h"
#include "engine/pool.h"
#include "kernels/runtime/lru_cache.h"
#include "models/inference/segmenter.h"
#include "models/registry.h"
#include "tests/support/file_support.h"
#include "tests/support/gpu_support.h"
#include "tests/support/model_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// Allocates from the system and counts the bytes in use and their peak.
class Counting : public Scratch {
 public:
  void* take(size_t bytes) override {
    lent_ += bytes;
    peak_ = std::max(peak_, lent_);
    return std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  }
  void give(void* block, size_t bytes) noexcept override {
    lent_ -= bytes;
    std::free(block);
  }
  size_t lent() const { return lent_; }
  size_t peak() const { return peak_; }

 private:
  size_t lent_ = 0, peak_ = 0;
};

constexpr int side = 512;

/// A grid of discs that cover about `percent` of the image.
Labels discs(int percent) {
  constexpr int pitch = 32;
  Labels labels{side, side, (side / pitch) * (side / pitch), std::vector<int32_t>(size_t(side) * side)};
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) {
      const double dx = x % pitch - 15.5, dy = y % pitch - 15.5;
      if (3.14159265 * (dx * dx + dy * dy) * 100 < percent * pitch * pitch)
        labels.ids[size_t(y) * side + size_t(x)] = y / pitch * (side / pitch) + x / pitch + 1;
    }
  return labels;
}

/// Peak memory of decoding, including the maps, in bytes per pixel of the image.
double peak_of(const Method& method, const Labels& labels) {
  Counting memory;
  Exec exec;
  exec.scratch = &memory;
  Maps maps = method.oracle(Exec(), labels);
  for (auto& [name, map] : maps.tensors)
    map = Tensor::from(exec, map.shape(), map.to_host<float>(exec));
  const Labels expected = method.decode(Exec(), maps).labels;
  CHECK(method.decode(exec, std::move(maps)).labels.ids == expected.ids);
  CHECK(memory.lent() == 0);
  return double(memory.peak()) / (double(side) * side);
}

}  // namespace

TEST_CASE("memory: decoding frees intermediate results as soon as they are no longer needed") {
  Untrained untrained;
  VectorFields& method = untrained.method;
  const Labels sixty = discs(60);
  // For an image of 400 million pixels, 16 GB are 40 bytes per pixel; the image and its labels need another 5 or more.
  CHECK(peak_of(method, sixty) < 30);
  method.decoding().noise = kernels::NoiseRule::majority;
  CHECK(peak_of(method, sixty) < 30);
  method.decoding().noise = kernels::NoiseRule::omnipose;
  CHECK(peak_of(method, sixty) < 33);
  method.decoding().rescale = kernels::DivergenceRange{};
  CHECK(peak_of(method, sixty) < 38);
}

TEST_CASE("memory: decoding fc and wn frees the network's maps as soon as they are no longer needed") {
  const Labels sixty = discs(60);
  const std::unique_ptr<Method> fc = make_method("fc", {}), wn = make_method("wn", {});
  const int colours = fc->config()["colours"].get<int>(), channels = wn->config()["embedding"].get<int>();
  CHECK(peak_of(*fc, sixty) < 4 * colours + 4.5);       // the maps and the colours, but not the objects beside them
  CHECK(peak_of(*wn, sixty) < 2 * 4 * channels + 8.5);  // embeddings, the smoothed distance and regions, no distance
}

TEST_CASE("memory: segmentation passes the predicted maps to its callback once, before decoding them") {
  const Exec cpu;
  const Untrained untrained;
  const VectorFields& method = untrained.method;
  const SegmentOptions options{{.tile = 64, .overlap = 8}};
  Synthetic made = make_synthetic({.size = 64, .seed = 5}, 0);
  const Source source(std::move(made.image), 1, {}, "synthetic");
  const Maps maps = predict_source(cpu, method, *untrained.predictor, source, options);
  int times = 0;
  const Segmentation s = segment_source(cpu, method, *untrained.predictor, source, options, [&](const Maps& seen) {
    ++times;
    for (const char* name : {"logit", "field"})
      CHECK(seen[name].to_host<float>(cpu) == maps[name].to_host<float>(cpu));
  });
  CHECK(times == 1);
  CHECK(s.instances.labels.ids == method.decode(cpu, maps).labels.ids);
}

TEST_CASE("memory: the pool does not cache image buffers, and frees its cache when the system runs out of memory") {
  const Exec cpu;
  Pool& shared = pool_of(Device::cpu);
  shared.trim();
  const size_t held = shared.use().held;
  { const Tensor image = Tensor::zeros(for_images(cpu), {3, 1000, 1000}); }
  CHECK(shared.use().held == held);
  { const Tensor pooled = Tensor::zeros(cpu, {3, 1000, 1000}); }
  CHECK(shared.use().held > held);

#ifndef __SANITIZE_ADDRESS__  // AddressSanitizer aborts the program when an allocation fails
  Pool pool(Device::cpu);
  pool.give(pool.take(1 << 20), 1 << 20);
  CHECK(pool.use().held >= 1 << 20);
  CHECK(contains(refusal([&] { pool.take(size_t(1) << 62); }), "not enough free memory for another"));
  CHECK(pool.use().held == 0);
  CHECK(pool.use().lent == 0);
#endif
}

TEST_CASE("memory: images of many sizes need no more than a few of the largest") {
  const Exec cpu;
  const Untrained untrained;
  Pool& shared = pool_of(Device::cpu);
  shared.trim();
  std::vector<float> pixels(size_t(400 * 400), 0.5f);
  for (int side = 400; side > 100; side -= 12) {
    Image image{side, side, 1, PixelType::f32, std::vector<std::byte>(size_t(side) * size_t(side) * sizeof(float))};
    std::memcpy(image.pixels.data(), pixels.data(), image.pixels.size());
    predict_source(cpu, untrained.method, *untrained.predictor, Source(std::move(image), 1, {}, "grey"), {});
    const Pool::Use use = shared.use();
    CHECK(use.held - use.lent < 4 * use.peak_lent);
  }
}

TEST_CASE("memory: running out of GPU memory gives one sentence that names the options to lower" * skip_without_gpu()) {
  for (const Exec& exec : execs()) {
    if (exec.device == Device::cpu) continue;
    Pool pool(exec.device);
    const std::string why = refusal([&] { pool.take(size_t(1) << 50); });
    CHECK(contains(why, "not enough free GPU memory for another 1073741824 MiB: lower --batch, --crop or --tile"));
    Exec own = exec;
    own.scratch = &pool;
    CHECK(Tensor::zeros(own, {3}).to_host<float>(own) == std::vector<float>(3, 0.f));  // the pool still works
  }
}

TEST_CASE("memory: a name in front of an error keeps its type") {
  CHECK_THROWS_WITH_AS(with_name("a.png", []() -> int { throw OutOfMemory("no room"); }), "a.png: no room",
                       OutOfMemory);
  CHECK_THROWS_WITH_AS(with_name("a.png", []() -> int { refuse("damaged"); }), "a.png: damaged", Error);
}

TEST_CASE("memory: tensors without elements occupy no bytes in any layout") {
  for (const Exec& exec : execs())
    for (const Layout layout : {Layout::nchw, Layout::nhwc, Layout::blocked8, Layout::blocked16})
      for (const Shape& shape : {Shape{2, 0, 3, 4}, Shape{0, 5, 3, 4}, Shape{2, 5, 0, 4}}) {
        const Tensor t = Tensor::zeros(exec, shape, DType::f32, layout);
        CHECK(t.bytes() == 0);
        CHECK(t.features<float>().size() == 0);
        CHECK(t.clone(exec).bytes() == 0);
      }
}

TEST_CASE("memory: the LRU cache keeps the most recently used values") {
  kernels::LruCache<int, std::unique_ptr<int>> recent(3);
  int made = 0;
  const auto get = [&](int key) {
    return *recent.get(key, [&] {
      ++made;
      return std::make_unique<int>(10 * key);
    });
  };
  for (const int key : {1, 2, 3, 1, 2, 3, 1})
    CHECK(get(key) == 10 * key);
  CHECK(made == 3);
  CHECK(get(4) == 40);  // evicts 2, the least recently used
  CHECK(recent.size() == 3);
  for (const int key : {1, 3, 4})
    get(key);
  CHECK(made == 4);
  CHECK(get(2) == 20);
  CHECK(made == 5);
  const auto failing = [&]() -> std::unique_ptr<int> { throw Error("never"); };
  CHECK_THROWS_AS(recent.get(9, failing), Error);
  CHECK(recent.size() == 3);
  get(2);
  CHECK(made == 5);
}

#include "models/methods/seed_decoding.h"

#include "engine/pool.h"
#include "kernels/embedding/region_growing.h"
#include "kernels/embedding/smooth_embedding.h"
#include "kernels/field/distance_target.h"
#include "kernels/image/components.h"
#include "kernels/image/gaussian.h"
#include "models/methods/colour_decoding.h"

namespace basin {
namespace {

/// The pixels of each seed, in raster order.
struct SeedPixels {
  std::vector<int32_t> pixels, first;

  SeedPixels(const std::vector<int32_t>& labels, int64_t seeds) : first(size_t(seeds) + 1, 0) {
    for (const int32_t label : labels)
      if (label > 0) ++first[size_t(label)];
    for (size_t s = 1; s < first.size(); ++s)
      first[s] += first[s - 1];
    pixels.resize(size_t(first.back()));
    std::vector<int32_t> next = first;
    for (size_t i = 0; i < labels.size(); ++i)
      if (labels[i] > 0) pixels[size_t(next[size_t(labels[i]) - 1]++)] = int32_t(i);
  }
};

}  // namespace

Labels decode_seeds(const Exec& exec, Tensor distance, Tensor embedding, const SeedDecoding& o) {
  const int height = embedding.dim(1), width = embedding.dim(2), channels = embedding.dim(0);
  const View<const float, 2> map{distance.data<const float>(), {height, width}};
  BASIN_CHECK(distance.shape() == (Shape{1, height, width}), "distance ", distance.shape(), ", embedding ",
              embedding.shape());
  const Exec room = for_images(exec);
  const Tensor smooth = Tensor::empty(room, {height, width});
  kernels::gaussian(exec, map, o.sigma, smooth.view<float, 2>());
  distance = {};
  Tensor peaks = Tensor::empty(room, {height, width}, DType::u8);
  const Tensor regions = Tensor::empty(room, {height, width}, DType::i32);
  const View<const float, 2> smoothed = smooth.view<const float, 2>();
  const View<int32_t, 2> labels = regions.view<int32_t, 2>();
  kernels::local_maxima(exec, smoothed, o.peaks, peaks.view<uint8_t, 2>());
  const int64_t seeds = kernels::components(exec, peaks.view<const uint8_t, 2>(), 8, labels);
  peaks = {};
  if (seeds == 0) return {height, width, 0, std::vector<int32_t>(size_t(height) * size_t(width), 0)};

  Tensor unit = Tensor::empty(room, {height, width, channels});
  kernels::smooth_embedding(exec, embedding.view<const float, 3>(), o.embedding_radius, unit.view<float, 3>());
  embedding = {};
  const SeedPixels of_seeds(regions.to_host<int32_t>(exec), seeds);
  const Tensor pixels = Tensor::from(exec, {int64_t(of_seeds.pixels.size())}, of_seeds.pixels);
  const Tensor first = Tensor::from(exec, {seeds + 1}, of_seeds.first);
  const Tensor directions = Tensor::empty(exec, {seeds + 1, channels});
  kernels::seed_directions(exec, unit.view<const float, 3>(), pixels.view<const int32_t, 1>(),
                           first.view<const int32_t, 1>(), directions.view<float, 2>());
  kernels::grow_regions(exec, unit.view<const float, 3>(), directions.view<const float, 2>(), o.min_cosine, labels);
  unit = {};
  kernels::drop_weak_labels(exec, o.weak, smoothed, seeds, labels);
  const Tensor objects = Tensor::empty(room, {height, width}, DType::i32);
  const int64_t count =
      kernels::components_of_labels(exec, regions.view<const int32_t, 2>(), 8, objects.view<int32_t, 2>());
  return {height, width, int(count), objects.to_host<int32_t>(exec)};
}

SeedMaps seed_oracle(const Exec& exec, const Labels& labels, int channels, double radius) {
  const Tensor ids = Tensor::from(exec, {labels.height, labels.width}, labels.ids);
  const SeedMaps maps{Tensor::empty(exec, {1, labels.height, labels.width}),
                      colour_oracle(exec, labels, channels, radius)};
  kernels::distance_target(exec, ids.view<const int32_t, 2>(), labels.count + 1, distance_scale,
                           {maps.distance.data<float>(), {labels.height, labels.width}});
  return maps;
}

}  // namespace basin

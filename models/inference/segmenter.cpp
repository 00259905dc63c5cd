#include "models/inference/segmenter.h"

#include <algorithm>
#include <cmath>

#include "engine/clock.h"
#include "engine/pool.h"
#include "kernels/flow/integrate.h"
#include "kernels/image/resize_antialiased.h"
#include "kernels/image/tiles.h"

namespace basin {
namespace {

/// On the CPU, returns idle memory of the network to the system, unless it is more than the maps hold: decoding then
/// needs less than the network did.
void release_idle_memory(const Exec& exec, const Maps& maps) {
  if (exec.device != Device::cpu) return;
  size_t held = 0;
  for (const auto& [name, map] : maps.tensors)
    held += map.bytes();
  Pool& pool = pool_of(exec.device);
  if (pool.use().held - pool.use().lent < held) pool.trim();
}

/// A map resized to another size; vectors are scaled with its sides.
Tensor at_image_size(const Exec& exec, const Tensor& map, const MapSpec& spec, int height, int width) {
  const bool vector = spec.kind == MapSpec::Kind::vector;
  const Tensor to = Tensor::empty(for_images(exec), {map.dim(0), height, width});
  kernels::resize_map(exec, map.view<const float, 3>(), vector ? float(width) / float(map.dim(2)) : 1,
                      vector ? float(height) / float(map.dim(1)) : 1, to.view<float, 3>());
  return to;
}

}  // namespace

Maps predict_source(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                    const SegmentOptions& options) {
  constexpr int limit = kernels::field_side_limit;
  if (source.height() >= limit || source.width() >= limit)
    refuse("the image has ", source.width(), " x ", source.height(), " pixels, but its sides must be below ", limit,
           "; cut it into parts");
  const Tensor input = Tensor::empty(for_images({}), {source.channels(), source.height(), source.width()});
  const View<float, 3> to = input.view<float, 3>();
#pragma omp parallel for schedule(static)
  for (int y = 0; y < source.height(); ++y)
    for (int c = 0; c < source.channels(); ++c)
      source.row(c, y, 0, source.width(), &to(c, y, 0));
  const Tensor image = input.to_device(for_images(exec));
  if (options.scale == 1) {
    Maps maps = predictor.predict(exec, image, options.tiling);
    maps.height = source.height(), maps.width = source.width();
    return maps;
  }
  const auto scaled = [&](int side) { return std::max(1, int(std::lround(side * options.scale))); };
  const Tensor small = Tensor::empty(for_images(exec), {image.dim(0), scaled(image.dim(1)), scaled(image.dim(2))});
  kernels::resize_antialiased(exec, image.view<const float, 3>(), small.view<float, 3>());
  Maps maps = predictor.predict(exec, small, options.tiling);
  if (method.has_scalable_maps()) {
    for (const MapSpec& spec : method.maps())
      maps.tensors[spec.name] = at_image_size(exec, maps[spec.name], spec, source.height(), source.width());
    maps.scale = 1 / options.scale;
  }
  maps.height = source.height(), maps.width = source.width();
  return maps;
}

Segmentation segment_source(const Exec& asked, const Method& method, const Predictor& predictor, const Source& source,
                            const SegmentOptions& options, const std::function<void(const Maps&)>& see) {
  Exec exec = asked;
  if (exec.device != Device::cpu) exec = for_images(exec);  // one pool for all stages, which releases free memory
  Segmentation result;
  const DeviceTimestamp start(exec);
  Maps maps = predict_source(exec, method, predictor, source, options);
  const DeviceTimestamp network(exec);
  if (see) see(maps);
  const DeviceTimestamp seen(exec);
  release_idle_memory(exec, maps);
  result.instances = decode_to_size(exec, method, std::move(maps));
  result.decode_seconds = DeviceTimestamp(exec).seconds_since(seen);
  result.network_seconds = network.seconds_since(start);
  return result;
}

Instances decode_to_size(const Exec& exec, const Method& method, Maps maps) {
  const int height = maps.height, width = maps.width;
  return at_size(method.decode(exec, std::move(maps)), height, width);
}

Instances at_size(Instances instances, int height, int width) {
  Labels& labels = instances.labels;
  if (height > 0 && (labels.height != height || labels.width != width)) labels = resized(labels, height, width);
  return instances;
}

}  // namespace basin

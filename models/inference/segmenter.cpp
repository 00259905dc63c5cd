#include "models/inference/segmenter.h"

#include <algorithm>
#include <climits>
#include <cmath>

#include "engine/clock.h"
#include "engine/pool.h"
#include "kernels/flow/integrate.h"
#include "kernels/image/resize_antialiased.h"
#include "kernels/image/tiles.h"
#include "kernels/nn/training_step.h"
#include "models/inference/views.h"

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

void check_sides(int height, int width) {
  constexpr int limit = kernels::field_side_limit;
  if (height >= limit || width >= limit)
    refuse("the image has ", width, " x ", height, " pixels, but its sides must be below ", limit,
           "; cut it into parts");
}

}  // namespace

void check_maps(const Exec& exec, const Maps& maps) {
  constexpr float limit = 1e30f;
  const Tensor state = Tensor::empty(exec, {int64_t(sizeof(StepState))}, DType::u8);
  StepState found;
  state.copy_from_host(exec, &found);
  for (const auto& [name, map] : maps.tensors) {
    if (map.dtype() != DType::f32 || map.shape().size() == 0) continue;
    kernels::note_bad(exec, map.data<const float>(), map.shape().size(), static_cast<StepState*>(state.raw()), limit);
    state.copy_to_host(exec, &found);
    if (found.first_bad >= 0)
      throw UnusableMaps("the network's map " + name + " contains NaN, infinity or values beyond 1e30");
  }
}

Tensor part_of(const Exec& exec, const Source& source, int y, int x, int height, int width) {
  const Tensor part = Tensor::empty(for_images({}), {source.channels(), height, width});
  const View<float, 3> to = part.view<float, 3>();
#pragma omp parallel for schedule(static)
  for (int row = 0; row < height; ++row)
    for (int c = 0; c < source.channels(); ++c)
      source.row(c, y + row, x, width, &to(c, row, 0));
  return part.to_device(for_images(exec));
}

std::pair<int, int> seen_size(int height, int width, double scale) {
  check_sides(height, width);
  const auto scaled = [&](int side) { return std::max<int64_t>(1, std::llround(side * scale)); };
  const int64_t rows = scaled(height), columns = scaled(width);
  if (std::max(rows, columns) >= kernels::field_side_limit || rows * columns > INT32_MAX)
    refuse("at scale ", scale, " the network would see ", columns, " x ", rows, " pixels; it may see at most ",
           INT32_MAX, ", and sides below ", kernels::field_side_limit, "; choose a smaller --scale");
  return {int(rows), int(columns)};
}

Tensor at_scale(const Exec& exec, const Tensor& image, double scale) {
  if (scale == 1) return image;
  const auto [height, width] = seen_size(image.dim(1), image.dim(2), scale);
  const Tensor to = Tensor::empty(for_images(exec), {image.dim(0), height, width});
  kernels::resize_antialiased(exec, image.view<const float, 3>(), to.view<float, 3>());
  return to;
}

bool resizes_maps(const Method& method, double scale) { return scale < 1 && method.has_scalable_maps(); }

Tensor at_image_size(const Exec& exec, const Tensor& map, const MapSpec& spec, int height, int width,
                     const kernels::ResizedPart& part) {
  const bool vector = spec.kind == MapSpec::Kind::vector, whole = part.from.height == 0;
  const auto factor = [&](int to, int from) { return vector ? float(to) / float(from) : 1; };
  const Tensor to = Tensor::empty(for_images(exec), {map.dim(0), height, width});
  kernels::resize_map(
      exec, map.view<const float, 3>(), whole ? factor(width, map.dim(2)) : factor(part.to.width, part.from.width),
      whole ? factor(height, map.dim(1)) : factor(part.to.height, part.from.height), to.view<float, 3>(), part);
  return to;
}

Maps predict_source(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                    const SegmentOptions& options) {
  check_sides(source.height(), source.width());
  if (exec.device == Device::cpu) pool_of(exec.device).trim_excess();  // memory of images of other sizes
  const Tensor image = at_scale(exec, part_of(exec, source, 0, 0, source.height(), source.width()), options.scale);
  Maps maps = options.tta || method.averages_views() ? predict_views(exec, method, predictor, image, options.tiling)
                                                     : predictor.predict(exec, image, options.tiling);
  check_maps(exec, maps);
  if (resizes_maps(method, options.scale)) {
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

std::vector<float> foreground_probability(const Exec& exec, const Method& method, const Maps& maps) {
  const Tensor& map = maps[method.foreground_logit()];
  const int64_t pixels = int64_t(map.dim(1)) * map.dim(2);
  Tensor logit = Tensor::borrow(map.owner(), map.view<float, 3>().data + method.foreground_channel() * pixels,
                                map.device(), {1, map.dim(1), map.dim(2)}, DType::f32);
  if (logit.dim(1) != maps.height || logit.dim(2) != maps.width)
    logit = at_image_size(exec, logit, {method.foreground_logit()}, maps.height, maps.width);
  std::vector<float> values = logit.to_host<float>(exec);
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(1 / (1 + std::exp(-double(values[i]))));
  return values;
}

std::string field_map(const Method& method) {
  for (const MapSpec& map : method.maps())
    if (map.kind == MapSpec::Kind::vector && map.channels == 2) return map.name;
  return {};
}

std::vector<float> field_of(const Exec& exec, const Method& method, const Maps& maps) {
  Tensor field = maps[field_map(method)];
  if (field.dim(1) != maps.height || field.dim(2) != maps.width)
    field = at_image_size(exec, field, {field_map(method), 2}, maps.height, maps.width);
  std::vector<float> values = field.to_host<float>(exec);
  for (float& v : values)
    v /= float(maps.scale);
  return values;
}

Instances decode_to_size(const Exec& exec, const Method& method, Maps maps) {
  const int height = maps.height, width = maps.width;
  return at_size(method.decode(exec, std::move(maps)), height, width);
}

Instances at_size(Instances instances, int height, int width) {
  Labels& labels = instances.labels;
  if (height <= 0 || (labels.height == height && labels.width == width)) return instances;
  std::vector<int32_t> kept;
  labels = resized(labels, height, width, &kept);
  if (instances.planes) instances.planes = resized(*instances.planes, height, width);
  instances.keep(kept);
  return instances;
}

}  // namespace basin

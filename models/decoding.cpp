#include "models/decoding.h"

#include "engine/pool.h"
#include "kernels/points.h"
#include "kernels/scratch.h"

namespace basin {

EndPoints follow(const Exec& exec, Maps maps, const VectorFieldDecoding& o) {
  const Exec whole = without_pool(exec);
  Tensor logit = maps["logit"], field = maps["field"];
  maps = {};
  const int height = logit.dim(1), width = logit.dim(2);
  EndPoints ends;
  ends.mask = Tensor::empty(whole, {height, width}, DType::u8);
  const View<uint8_t, 2> mask = ends.mask.view<uint8_t, 2>();
  kernels::threshold_logit(exec, View<const float, 2>{logit.data<const float>(), {height, width}}, o.threshold, mask);
  logit = {};
  const int64_t n = kernels::count_points(exec, mask);
  if (n > kernels::most_points)
    refuse("has ", n, " pixels of foreground, and up to ", kernels::most_points,
           " are clustered at once: cut it into parts");
  if (o.rescale && n > 0) {
    const Tensor rescaled = Tensor::empty(whole, {2, height, width});
    kernels::rescale_by_divergence(exec, field.view<const float, 3>(), mask, *o.rescale, rescaled.view<float, 3>());
    field = rescaled;
  }
  ends.points = Tensor::empty(whole, {n, 2});
  if (n == 0) return ends;
  kernels::mask_points<float>(exec, mask, ends.points.view<float, 2>());
  kernels::integrate<float>(exec, field.view<const float, 3>(), ends.points.view<float, 2>(), o.integrate);
  return ends;
}

Labels cluster(const Exec& exec, EndPoints ends, const VectorFieldDecoding& o) {
  const int height = ends.mask.dim(0), width = ends.mask.dim(1), n = ends.points.dim(0);
  Labels labels{height, width, 0, {}};
  const Temp<int32_t> label_memory(exec, n);
  const View<int32_t, 1> clusters{label_memory.data(), {n}};
  if (n > 0) {
    const View<const float, 2> points = ends.points.view<const float, 2>();
    labels.count = int(kernels::dbscan<float>(exec, points, o.dbscan, clusters));
    kernels::snap_noise<float>(exec, points, o.noise, o.dbscan.eps, clusters);
  }
  ends.points = {};
  labels.ids.resize(size_t(height) * size_t(width));
  Tensor image = Tensor::borrow({}, labels.ids.data(), Device::cpu, {height, width}, DType::i32);
  if (exec.device != Device::cpu) image = Tensor::empty(without_pool(exec), {height, width}, DType::i32);
  kernels::label_points(exec, ends.mask.view<const uint8_t, 2>(), clusters, image.view<int32_t, 2>());
  if (exec.device != Device::cpu) image.copy_to_host(exec, labels.ids.data());
  return labels;
}

}  // namespace basin

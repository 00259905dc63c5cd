#include "models/methods/vector_field_decoding.h"

#include <algorithm>
#include <cmath>

#include "engine/pool.h"
#include "kernels/cluster/mask_points.h"
#include "kernels/cluster/point_grid.h"
#include "kernels/runtime/scratch.h"

namespace basin {
namespace {

Tensor foreground(const Exec& exec, const Tensor& logit, double threshold) {
  const int height = logit.dim(1), width = logit.dim(2);
  const Tensor mask = Tensor::empty(for_images(exec), {height, width}, DType::u8);
  kernels::threshold_logit(exec, View<const float, 2>{logit.data<const float>(), {height, width}}, threshold,
                           mask.view<uint8_t, 2>());
  return mask;
}

/// The field that is followed.
Tensor rescaled(const Exec& exec, const Tensor& field, const Tensor& mask, const VectorFieldDecoding& o) {
  if (!o.rescale) return field;
  const Tensor to = Tensor::empty(for_images(exec), field.shape());
  kernels::rescale_by_divergence(exec, field.view<const float, 3>(), mask.view<const uint8_t, 2>(), *o.rescale,
                                 to.view<float, 3>());
  return to;
}

/// Decoding on a GPU without waiting for the host: every pixel is a point, and background points are masked out when
/// points are moved and clustered. Returns nothing if the image is too large for that, or if a point ends further
/// outside the image than `stray`: then decode_in_two_parts() has to be used.
std::optional<Labels> decode_pixels(const Exec& exec, const Maps& maps, const VectorFieldDecoding& o) {
  constexpr double stray = 64;  // px
  const Tensor& logit = maps["logit"];
  const int height = logit.dim(1), width = logit.dim(2);
  const kernels::Bounds box{-stray, width + stray, -stray, height + stray};
  if (!kernels::PointGrid<float>::fits(box, o.dbscan.eps, int64_t(height) * width)) return {};
  const int n = height * width;
  const Tensor mask = foreground(exec, logit, o.threshold), points = Tensor::empty(exec, {n, 2});
  const auto* const is_point = mask.data<const uint8_t>();
  kernels::pixel_points<float>(exec, height, width, points.view<float, 2>());
  kernels::integrate<float>(exec, rescaled(exec, maps["field"], mask, o).view<const float, 3>(),
                            points.view<float, 2>(), o.integrate, {is_point, {n}});

  const Tensor result = Tensor::zeros(exec, {n + 2}, DType::i32);  // labels, their number, number of stray points
  auto* const ids = result.data<int32_t>();
  const View<int32_t, 1> of_pixels{ids, {n}};
  const View<const float, 2> ends = points.view<const float, 2>();
  const kernels::MaskedPoints some{is_point, box, ids + n + 1};
  kernels::dbscan<float>(exec, ends, some, o.dbscan, of_pixels, ids + n);
  kernels::snap_noise<float>(exec, ends, some, o.noise, o.dbscan.eps, of_pixels);
  kernels::label_pixels(exec, of_pixels);

  Labels labels{height, width, 0, {}};
  labels.ids.resize(size_t(n) + 2);
  result.copy_to_host(exec, labels.ids.data());
  if (labels.ids.back() != 0) return {};
  labels.count = labels.ids[size_t(n)];
  labels.ids.resize(size_t(n));
  return labels;
}

}  // namespace

VectorFieldDecoding scaled(VectorFieldDecoding d, double scale) {
  if (scale == 1) return d;
  d.dbscan.eps *= scale;
  d.dbscan.min_samples = std::max(1, int(std::lround(d.dbscan.min_samples * scale * scale)));
  return d;
}

bool same_flow(const VectorFieldDecoding& a, const VectorFieldDecoding& b) {
  const auto& x = a.integrate;
  const auto& y = b.integrate;
  const auto rescaling = [](const VectorFieldDecoding& d) {
    return d.rescale ? std::pair(d.rescale->low, d.rescale->high) : std::pair(-1.0, -1.0);
  };
  return a.threshold == b.threshold && rescaling(a) == rescaling(b) && x.solver == y.solver &&
         x.interpolation == y.interpolation && x.suppression == y.suppression && x.step == y.step &&
         x.steps == y.steps && x.tolerance == y.tolerance;
}

Labels decode(const Exec& exec, Maps maps, const VectorFieldDecoding& o) {
  if (exec.device == Device::cuda) try {
      if (std::optional<Labels> labels = decode_pixels(for_images(exec), maps, o)) return *std::move(labels);
    } catch (const OutOfMemory&) {
      pool_of(exec.device).trim();  // cached blocks may have sizes that the two parts cannot reuse
    }
  return decode_in_two_parts(exec, std::move(maps), o);
}

EndPoints follow(const Exec& exec, Maps maps, const VectorFieldDecoding& o) {
  Tensor logit = maps["logit"], field = maps["field"];
  maps = {};
  EndPoints ends;
  ends.mask = foreground(exec, logit, o.threshold);
  logit = {};
  const View<const uint8_t, 2> mask = ends.mask.view<const uint8_t, 2>();
  const int64_t n = kernels::count_points(exec, mask);
  if (n > kernels::max_points)
    refuse("the image has ", n, " pixels of foreground, and at most ", kernels::max_points,
           " can be clustered at once; cut it into parts");
  if (n > 0) field = rescaled(exec, field, ends.mask, o);
  ends.points = Tensor::empty(for_images(exec), {n, 2});
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
  if (exec.device != Device::cpu) image = Tensor::empty(for_images(exec), {height, width}, DType::i32);
  kernels::label_points(exec, ends.mask.view<const uint8_t, 2>(), clusters, image.view<int32_t, 2>());
  if (exec.device != Device::cpu) image.copy_to_host(exec, labels.ids.data());
  return labels;
}

Labels decode_in_two_parts(const Exec& exec, Maps maps, const VectorFieldDecoding& o) {
  return cluster(exec, follow(exec, std::move(maps), o), o);
}

}  // namespace basin

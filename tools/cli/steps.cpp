#include "tools/cli/steps.h"

#include <algorithm>
#include <cmath>

#include "kernels/cluster/snap_noise.h"
#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/omnipose_field.h"
#include "kernels/image/tiles.h"
#include "tools/cli/arrays.h"

namespace basin::tools {
namespace {

template <class T>
std::vector<int32_t> clusters_of(const Exec& exec, const Array& array, const kernels::DbscanOptions& options,
                                 kernels::NoiseRule rule, int64_t& clusters) {
  const int64_t n = array.shape[0];
  const Tensor points = Tensor::empty(exec, {n, 2}, dtype_of<T>), labels = Tensor::empty(exec, {n}, DType::i32);
  points.copy_from_host(exec, array.bytes.data());
  clusters = kernels::dbscan<T>(exec, points.view<const T, 2>(), options, labels.view<int32_t, 1>());
  kernels::snap_noise<T>(exec, points.view<const T, 2>(), rule, options.eps, labels.view<int32_t, 1>());
  return labels.to_host<int32_t>(exec);
}

}  // namespace

void FieldStep::add_to(Command& command) {
  command.add("--kind", kind_, "which vector field").one_of({"sdf", "affinity", "omnipose", "centroid"}).shown();
  command.add("--truncate", sdf_.truncate, "sdf: largest distance, px; farther ones are clipped to it")
      .within(1, 30000)
      .shown();
  command.add("--kernel", sdf_.kernel, "sdf, affinity: width of the window, odd, px").within(3, 63).shown();
  command.add("--mode", mode_, "centroid: unit vectors towards the centroid, or the whole displacement to it")
      .one_of({"unit", "displacement"})
      .shown();
}

void FieldStep::check() const {
  if (sdf_.kernel % 2 == 0) refuse("--kernel ", sdf_.kernel, ": expected an odd number");
}

Tensor FieldStep::field_of(const Exec& exec, const Labels& labels, const std::string& name) const {
  if (kind_ == "centroid" && int64_t(labels.ids.size()) >= kernels::centroid_pixel_limit)
    refuse(name, ": has ", labels.ids.size(), " pixels; --kind centroid works on fewer than ",
           kernels::centroid_pixel_limit);
  // One row or column of background is added on each side.
  const int height = labels.height + 2, width = labels.width + 2;
  std::vector<int32_t> framed(size_t(height) * size_t(width));
  for (int y = 0; y < labels.height; ++y)
    std::copy_n(labels.ids.begin() + ptrdiff_t(y) * labels.width, labels.width,
                framed.begin() + ptrdiff_t(y + 1) * width + 1);
  const Tensor ids = Tensor::from(exec, {height, width}, framed);
  const Tensor whole = Tensor::empty(exec, {2, height, width}),
               field = Tensor::empty(exec, {2, labels.height, labels.width});
  const auto from = ids.view<const int32_t, 2>();
  const auto to = whole.view<float, 3>();
  using kernels::CentroidMode;
  if (kind_ == "sdf")
    kernels::sdf_field(exec, from, sdf_, to);
  else if (kind_ == "affinity")
    kernels::affinity_field(exec, from, sdf_.kernel, to);
  else if (kind_ == "omnipose")
    kernels::omnipose_field(exec, from, to);
  else
    kernels::centroid_field(exec, from, mode_ == "unit" ? CentroidMode::unit : CentroidMode::displacement, to);
  kernels::cut_tile(exec, whole.view<const float, 3>(), 1, 1, kernels::Outside::zero, kernels::Outside::zero,
                    field.view<float, 3>());
  return field;
}

void IntegrateStep::add_to(Command& command) {
  command.add("--solver", solver_, "integration scheme").one_of({"euler", "midpoint", "rk4", "dopri5"}).shown();
  command.add("--step", options_.step, "time step; dopri5: the first one tried").positive().shown();
  command.add("--steps", options_.steps, "number of steps; dopri5 integrates to step * steps")
      .within(0, 100000000)
      .shown();
  command.add("--tolerance", options_.tolerance, "dopri5: largest estimated error of a step, px").positive().shown();
  command.add("--interpolation", interpolation_, "interpolation of the field between pixels")
      .one_of({"bilinear", "nearest"})
      .shown();
  command
      .add("--suppress", suppression_,
           "euler: damp the flow with time as in Omnipose's paper (paper, or no value) or as in its code (omnipose); "
           "default: none")
      .alone("paper", {"none", "paper", "omnipose"})
      .one_of({"none", "paper", "omnipose"});
}

kernels::IntegrateOptions IntegrateStep::options() const {
  kernels::IntegrateOptions options = options_;
  options.solver = kernels::parse_solver(solver_);
  options.interpolation = kernels::parse_interpolation(interpolation_);
  options.suppression = kernels::parse_suppression(suppression_);
  kernels::check(options);
  return options;
}

void expect_field(const Array& field, const std::string& name) {
  expect_real(field, name, {3});
  if (field.shape[0] != 2 || field.size() == 0) refuse(name, ": expected a field [2, H, W], not ", shape_text(field));
  const int64_t h = field.shape[1], w = field.shape[2];
  constexpr int most = kernels::field_side_limit;
  if (h >= most || w >= most || h * w >= int64_t(1) << 31)
    refuse(name, ": a field of ", h, " x ", w, " pixels is too large");
}

void expect_points(const Array& points, const std::string& name) {
  expect_real(points, name, {2});
  if (points.shape[1] != 2) refuse(name, ": expected points [N, 2], not ", shape_text(points));
}

void ClusterStep::add_to(Command& command) {
  command.add("--eps", dbscan_.eps, "radius: points at most this far apart are neighbours").required();
  command.add("--min-samples", dbscan_.min_samples, "a core point has at least this many neighbours, itself included")
      .required();
  command
      .add("--snap-noise", snap_noise_,
           "how noise points get a label. majority, or no value: the most frequent label of the 5 nearest clustered "
           "points; "
           "omnipose: that of the nearest clustered point among its 5 nearest points, if nearer than eps; "
           "none: they stay noise. Default: none")
      .alone("majority", {"none", "majority", "omnipose"});
}

void ClusterStep::check() const { kernels::parse_noise_rule(snap_noise_); }

std::vector<int32_t> ClusterStep::labels_of(const Exec& exec, const Array& points, int64_t& clusters) const {
  const kernels::NoiseRule rule = kernels::parse_noise_rule(snap_noise_);
  return points.type == ElementType::f32 ? clusters_of<float>(exec, points, dbscan_, rule, clusters)
                                         : clusters_of<double>(exec, points, dbscan_, rule, clusters);
}

void expect_clusterable(const Array& points, const std::string& name) {
  if (!points.is_real() || points.shape.size() != 2 || points.shape[1] != 2)
    refuse(name, ": expected points [N, 2] of float32 or float64");
  if (points.shape[0] > kernels::max_points)
    refuse(name, ": has ", points.shape[0], " points; at most ", kernels::max_points, " can be clustered at once");
  with_element(points.type, [&](auto zero) {
    const auto* values = points.as<decltype(zero)>();
    for (int64_t i = 0; i < points.size(); ++i)
      if (!std::isfinite(double(values[i]))) refuse(name, ": point ", i / 2, " has a coordinate that is not finite");
  });
}

}  // namespace basin::tools

#include "models/methods/vector_fields.h"

#include <cmath>

#include "engine/json.h"
#include "engine/ops/loss.h"
#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/distance_field.h"
#include "kernels/field/omnipose_field.h"
#include "kernels/image/tiles.h"
#include "kernels/runtime/scratch.h"
#include "models/inference/tiling.h"

namespace basin {
namespace {

using kernels::Interpolation;
using kernels::NoiseRule;
using kernels::Solver;

constexpr std::pair<FieldKind, const char*> field_names[] = {{FieldKind::sdf, "sdf"},
                                                             {FieldKind::affinity, "affinity"},
                                                             {FieldKind::omnipose, "omnipose"},
                                                             {FieldKind::centroid, "centroid"}};

/// A member of a JSON object, which must be there and of its type.
template <class T>
T member(const Json& object, const char* key) {
  try {
    return object.at(key).get<T>();
  } catch (const Json::exception&) {
    refuse("the model's settings lack a valid ", key);
  }
}

template <class T>
T number(const Json& object, const char* key, T low, T high) {
  const double value = member<double>(object, key);
  if (!(value >= double(low) && value <= double(high)) || (std::is_integral_v<T> && value != std::floor(value)))
    refuse("the model's settings have a ", key, " of ", value, "; expected ", low, " to ", high);
  return T(value);
}

Json decoding_json(const VectorFieldDecoding& d) {
  return {{"threshold", d.threshold},
          {"rescale", d.rescale ? Json{d.rescale->low, d.rescale->high} : Json(nullptr)},
          {"solver", to_string(d.integrate.solver)},
          {"interpolation", to_string(d.integrate.interpolation)},
          {"suppression", to_string(d.integrate.suppression)},
          {"step", d.integrate.step},
          {"steps", d.integrate.steps},
          {"eps", d.dbscan.eps},
          {"min_samples", d.dbscan.min_samples},
          {"snap_noise", d.noise == NoiseRule::omnipose ? Json(to_string(d.noise)) : Json(d.noise != NoiseRule::none)}};
}

VectorFieldDecoding decoding_of(const Json& j) {
  VectorFieldDecoding d;
  d.threshold = number(j, "threshold", 1e-6, 1 - 1e-6);
  d.integrate.solver = kernels::parse_solver(member<std::string>(j, "solver"));
  d.integrate.interpolation = kernels::parse_interpolation(member<std::string>(j, "interpolation"));
  if (j.contains("suppression"))
    d.integrate.suppression = kernels::parse_suppression(member<std::string>(j, "suppression"));
  if (j.contains("rescale") && !j["rescale"].is_null()) {
    const auto [low, high] = member<std::array<double, 2>>(j, "rescale");
    if (!(low >= 0 && low < high && high <= 100)) refuse("the model's settings lack a valid rescale");
    d.rescale = {low, high};
  }
  d.integrate.step = number(j, "step", 1e-6, 1e6);
  d.integrate.steps = number(j, "steps", 0, 1000000);
  d.dbscan.eps = number(j, "eps", 1e-6, 1e6);
  d.dbscan.min_samples = number(j, "min_samples", 1, 1000000);
  if (j.contains("snap_noise") && j["snap_noise"].is_string())
    d.noise = kernels::parse_noise_rule(j["snap_noise"].get<std::string>());
  else
    d.noise = member<bool>(j, "snap_noise") ? NoiseRule::majority : NoiseRule::none;
  check(d.integrate);
  return d;
}

VectorFieldOptions options_of(const Json& j) {
  VectorFieldOptions o;
  const std::string method = member<std::string>(j, "method");
  o.net.decoders = method == "vf-h2" ? 2 : 1;
  o.net.in_channels = number(j, "channels", 1, 1024);
  o.net.width = number(j, "width", 1, 1024);
  o.net.seed = member<uint64_t>(j, "seed");
  o.normalisation = parse_normalisation(member<std::string>(j, "normalisation"));
  o.field = parse_field_kind(member<std::string>(j, "field"));
  o.truncate = number(j, "truncate", 1, 30000);
  o.kernel = number(j, "kernel", 3, 63);
  o.weights = member<std::array<double, 3>>(j, "weights");
  o.tversky = member<std::array<double, 2>>(j, "tversky");
  o.ivp.step = number(j, "ivp_step", 1e-6, 1e6);
  o.ivp.steps = number(j, "ivp_steps", 1, 10000);
  o.decoding = decoding_of(member<Json>(j, "decoding"));
  return o;
}

}  // namespace

FieldKind parse_field_kind(const std::string& text) {
  for (const auto& [kind, name] : field_names)
    if (text == name) return kind;
  refuse("--field ", text, ": expected sdf, affinity, omnipose or centroid");
}

std::string to_string(FieldKind kind) {
  for (const auto& [k, name] : field_names)
    if (kind == k) return name;
  BASIN_CHECK(false, "field kind ", int(kind));
  return {};
}

VectorFields::VectorFields(const VectorFieldOptions& options) : options_(options), net_(params_, options.net) {}
VectorFields::VectorFields(const Json& config) : VectorFields(options_of(config)) {}

Json VectorFields::config() const {
  const VectorFieldOptions& o = options_;
  return {{"method", o.net.decoders == 2 ? "vf-h2" : "vf-h1"},
          {"channels", o.net.in_channels},
          {"width", o.net.width},
          {"seed", o.net.seed},
          {"normalisation", to_string(o.normalisation)},
          {"field", to_string(o.field)},
          {"truncate", o.truncate},
          {"kernel", o.kernel},
          {"weights", o.weights},
          {"tversky", o.tversky},
          {"ivp_step", o.ivp.step},
          {"ivp_steps", o.ivp.steps},
          {"decoding", decoding_json(o.decoding)}};
}

SampleSpec VectorFields::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_.net.in_channels;
  spec.multiple = UNet::multiple;
  spec.normalisation = options_.normalisation;
  switch (options_.field) {
    case FieldKind::sdf:
      spec.margin = kernels::sdf_field_margin({options_.truncate, options_.kernel});
      break;
    case FieldKind::affinity:
      spec.margin = options_.kernel / 2;
      break;
    case FieldKind::omnipose:  // the distance to the border, however far that is
    case FieldKind::centroid:
      spec.margin = 1;
      spec.whole_objects = true;
      break;
  }
  return spec;
}

void VectorFields::make_targets(const Exec& exec, View<const int32_t, 2> labels, View<float, 3> target) const {
  const Temp<float> memory(exec, int64_t(2) * labels.size());
  const View<float, 3> whole{memory.data(), {2, labels.dim[0], labels.dim[1]}};
  switch (options_.field) {
    case FieldKind::sdf:
      kernels::sdf_field(exec, labels, {options_.truncate, options_.kernel}, whole);
      break;
    case FieldKind::affinity:
      kernels::affinity_field(exec, labels, options_.kernel, whole);
      break;
    case FieldKind::omnipose:
      kernels::omnipose_field(exec, labels, whole);
      break;
    case FieldKind::centroid:
      kernels::centroid_field(exec, labels, kernels::CentroidMode::unit, whole);
      break;
  }
  const int margin_y = (labels.dim[0] - target.dim[1]) / 2, margin_x = (labels.dim[1] - target.dim[2]) / 2;
  kernels::cut_tile(exec, whole, margin_y, margin_x, kernels::Outside::zero, kernels::Outside::zero, target);
}

LossTerms VectorFields::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const std::vector<Var> out = net_.forward(tape, {batch["image"]}, state);
  const Var ivp = ivp_loss(tape, out[1], batch["target"], options_.ivp);
  const Var mse = mse_loss(tape, out[1], batch["target"]);
  const Var tversky = tversky_loss(tape, out[0], batch["mask"], options_.tversky[0], options_.tversky[1]);
  const auto& w = options_.weights;
  return {{{"ivp", ivp}, {"mse", mse}, {"tversky", tversky}},
          weighted_sum(tape, {{ivp, w[0]}, {mse, w[1]}, {tversky, w[2]}})};
}

void VectorFields::refresh(const Exec& exec) { folded_.emplace(exec, net_); }

Maps VectorFields::predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const {
  BASIN_CHECK(folded_, "refresh() before predict()");
  std::vector<Tensor> maps = run_tiled(exec, image, tiling, {UNet::multiple, UNet::receptive_radius}, {false, true},
                                       [&](const Tensor& tiles) { return (*folded_)(exec, tiles); });
  return {{{"logit", maps[0]}, {"field", maps[1]}}, {}};
}

Labels VectorFields::decode(const Exec& exec, Maps maps) const {
  return basin::decode(exec, std::move(maps), options_.decoding);
}

Maps VectorFields::oracle(const Exec& exec, const Labels& labels) const {
  const int height = labels.height, width = labels.width, margin = sample_spec().margin;
  const Exec cpu;
  const Tensor logit = Tensor::empty(cpu, {1, height, width}), field = Tensor::empty(cpu, {2, height, width});
  std::vector<int32_t> padded(size_t(height + 2 * margin) * size_t(width + 2 * margin));
  const View<int32_t, 2> ids{padded.data(), {height + 2 * margin, width + 2 * margin}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      ids(y + margin, x + margin) = labels(y, x);
      logit.view<float, 3>()(0, y, x) = labels(y, x) ? 10.f : -10.f;
    }
  make_targets(cpu, ids, field.view<float, 3>());
  return {{{"logit", logit.to_device(exec)}, {"field", field.to_device(exec)}}, {}};
}

std::unique_ptr<Method> make_method(const Json& config) {
  const std::string name = member<std::string>(config, "method");
  if (name == "vf-h1" || name == "vf-h2") return std::make_unique<VectorFields>(config);
  refuse("method ", name, " is unknown to this version of Basin; it knows vf-h1 and vf-h2");
}

}  // namespace basin

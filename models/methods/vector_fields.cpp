#include "models/methods/vector_fields.h"

#include <optional>

#include "engine/json.h"
#include "engine/ops/ignored.h"
#include "engine/ops/loss.h"
#include "engine/safetensors.h"
#include "kernels/image/symmetry.h"
#include "kernels/image/tiles.h"
#include "kernels/nn/ignored.h"
#include "kernels/runtime/scratch.h"
#include "models/methods/method_support.h"
#include "models/methods/vector_field_blocks.h"
#include "models/networks/tiling.h"

namespace basin {
namespace {

using kernels::NoiseRule;

/// Percentiles, or null for a field that is used without rescaling.
Setting rescale_setting(std::optional<kernels::DivergenceRange>& value) {
  Setting s;
  s.use = Setting::Use::decoding;
  s.key = "rescale";
  s.help =
      "as in Omnipose: normalise the foreground vectors and multiply by their divergence, scaled so that these "
      "percentiles are 0 and 1";
  s.range = "none, or LOW,HIGH with 0 <= LOW < HIGH <= 100";
  s.value = [&value] { return value ? Json{value->low, value->high} : Json(nullptr); };
  s.assign = [&value](const Json& j) {
    if (j.is_null()) {
      value.reset();
      return true;
    }
    if (!j.is_array() || j.size() != 2 || !j[0].is_number() || !j[1].is_number()) return false;
    const double low = j[0].get<double>(), high = j[1].get<double>();
    if (!(low >= 0 && low < high && high <= 100)) return false;
    value = {low, high};
    return true;
  };
  s.parse = [](const std::string& text) {
    if (text == "none") return Json(nullptr);
    const kernels::DivergenceRange range = kernels::parse_divergence_range(text);
    return Json{range.low, range.high};
  };
  s.optional = s.has_commas = true;
  s.option = "--rescale", s.bare = "0.01,99.99", s.words = {"none"};
  return s;
}

/// In model files, false means none and true means majority.
Setting noise_setting(NoiseRule& value) {
  Setting s;
  s.use = Setting::Use::decoding;
  s.key = "snap_noise";
  s.help =
      "how noise points get a label: the most frequent one of the 5 nearest clustered points (majority), or "
      "that of the nearest clustered point among its 5 nearest points, if nearer than eps (omnipose)";
  s.range = "none, majority or omnipose";
  s.value = [&value] { return value == NoiseRule::omnipose ? Json(to_string(value)) : Json(value != NoiseRule::none); };
  s.assign = [&value](const Json& j) {
    if (j.is_boolean())
      value = j.get<bool>() ? NoiseRule::majority : NoiseRule::none;
    else if (j.is_string())
      value = kernels::parse_noise_rule(j.get<std::string>());
    else
      return false;
    return true;
  };
  s.parse = [](const std::string& text) { return Json(text); };
  s.option = s.candidates_option = "--snap-noise", s.bare = "majority";
  s.words = {"none", "majority", "omnipose"};
  s.candidates = {"none", "majority"};
  s.text = [](const Json& j) { return j.is_string() ? j.get<std::string>() : j == true ? "majority" : "none"; };
  return s;
}

void publish(VectorFieldOptions& o, Settings& s) {
  using Use = Setting::Use;
  s.integer(Use::network, "channels", o.net.in_channels, 1, 1024, "input channels");
  s.integer(Use::network, "width", o.net.width, 1, 1024, "channels of the first network stage").option = "--width";
  s.seed(Use::network, "seed", o.net.seed, "seed of the dropout masks");
  s.add(normalisation_setting(o.normalisation));
  s.choice(Use::training, "field", o.field.kind, kernels::field_kinds, "target field").option = "--field";
  s.integer(Use::training, "truncate", o.field.sdf.truncate, 1, 1000,
            "sdf field: largest distance, px; farther ones are clipped to it");
  s.integer(Use::training, "kernel", o.field.sdf.kernel, 3, 63,
            "sdf and affinity fields: width of the window, odd, px");
  s.numbers(Use::training, "weights", o.weights, "weights of the losses IVP, MSE and Tversky").option = "--weights";
  s.numbers(Use::training, "tversky", o.tversky, "Tversky loss: weights of false positives and false negatives")
      .option = "--tversky";
  s.number(Use::training, "ivp_step", o.ivp.step, 1e-6, 1e6, "IVP loss: time step");
  s.integer(Use::training, "ivp_steps", o.ivp.steps, 1, 10000, "IVP loss: number of steps");

  VectorFieldDecoding& d = o.decoding;
  Setting& threshold =
      s.number(Use::decoding, "threshold", d.threshold, 1e-6, 1 - 1e-6, "threshold of the foreground probability");
  threshold.option = "--threshold";
  threshold.candidates = {"0.4", "0.5"}, threshold.candidates_option = "--thresholds";
  s.add(rescale_setting(d.rescale));
  s.choice(Use::decoding, "solver", d.integrate.solver, kernels::solvers, "integration scheme").option = "--solver";
  s.choice(Use::decoding, "interpolation", d.integrate.interpolation, kernels::interpolations,
           "interpolation of the field between pixels")
      .option = "--interpolation";
  Setting& suppression = s.choice(Use::decoding, "suppression", d.integrate.suppression, kernels::suppressions,
                                  "euler: damp the flow with time as in Omnipose's paper or in its code");
  suppression.optional = true;
  suppression.option = "--suppress", suppression.bare = "paper";
  s.number(Use::decoding, "step", d.integrate.step, 1e-6, 1e6, "time step of the integration").option = "--step";
  Setting& steps = s.integer(Use::decoding, "steps", d.integrate.steps, 0, 1000000, "number of integration steps");
  steps.option = steps.candidates_option = "--steps";
  steps.candidates = {"25", "50", "75", "100"};
  Setting& eps = s.number(Use::decoding, "eps", d.dbscan.eps, 1e-6, 1e6, "DBSCAN radius, px");
  eps.option = eps.candidates_option = "--eps";
  eps.candidates = {"1.5", "1.75", "2", "2.25"};
  Setting& min_samples = s.integer(Use::decoding, "min_samples", d.dbscan.min_samples, 1, 1000000,
                                   "DBSCAN: a core point has at least this many points within eps, itself included");
  min_samples.option = min_samples.candidates_option = "--min-samples";
  min_samples.candidates = {"5", "10", "15", "20"};
  s.add(noise_setting(d.noise));
}

/// The options that follow from the method's name.
VectorFieldOptions options_of(const std::string& name) {
  VectorFieldOptions options;
  options.net.decoders = name == "vf-h2" ? 2 : 1;
  return options;
}

constexpr NetworkNeeds tile_needs{UNet::multiple, UNet::receptive_radius};

/// A predictor for a network whose batch norms are folded into its convolutions.
class FieldPredictor : public Predictor {
 public:
  FieldPredictor(const Exec& exec, const UNet& net) : net_(exec, net) {}

  Maps predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const override {
    std::vector<Tensor> maps = run_tiled(exec, image, tiling, tile_needs, {false, true},
                                         [&](const Tensor& tiles) { return net_(exec, tiles); });
    return {{{"logit", maps[0]}, {"field", maps[1]}}};
  }
  std::optional<NetworkNeeds> needs_of_exact_tiles() const override { return tile_needs; }

 private:
  UNet::Folded net_;
};

}  // namespace

VectorFields::VectorFields(const VectorFieldOptions& options) : options_(options), net_(params_, options.net) {
  publish(options_, settings_);
}
VectorFields::VectorFields(const std::string& name, const Json& config)
    : VectorFields(options_from(config, publish, options_of(name))) {}

void VectorFields::check_settings() const {
  check(options_.decoding.integrate);
  if (options_.field.sdf.kernel % 2 == 0)
    refuse("--set kernel=", options_.field.sdf.kernel, ": expected an odd number");
}

SampleSpec VectorFields::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_.net.in_channels;
  spec.multiple = UNet::multiple;
  spec.normalisation = options_.normalisation;
  spec.margin = kernels::field_margin(options_.field);
  spec.whole_objects = kernels::depends_on_whole_objects(options_.field.kind);
  return spec;
}

ObjectLimits VectorFields::object_limits() const {
  const char* setting = options_.field.kind == kernels::FieldKind::sdf ? "truncate" : "kernel";
  return {.reach = kernels::field_reach(options_.field), .reach_setting = setting};
}

TargetSpec VectorFields::targets() const {
  TargetSpec spec{{{"mask", 1}, {"target", 2}}, {}};
  if (has_ignored_) spec.maps.push_back({"counted", 1});
  return spec;
}

void VectorFields::make_targets(const Exec& exec, View<const int32_t, 3> layers, const SampleTargets& to) const {
  const View<const int32_t, 2> given = first_layer(layers);
  const Temp<int32_t> cleared(exec, has_ignored_ ? given.size() : 0);
  View<const int32_t, 2> labels = given;
  if (has_ignored_) {
    kernels::clear_ignored(exec, given, {cleared.data(), {given.dim[0], given.dim[1]}});
    labels.data = cleared.data();
  }
  const View<float, 3> mask = to.map<float>("mask"), target = to.map<float>("target");
  kernels::mask_of_middle(exec, labels, {mask.data, {mask.dim[1], mask.dim[2]}});
  const Temp<float> memory(exec, int64_t(2) * labels.size());
  const View<float, 3> whole{memory.data(), {2, labels.dim[0], labels.dim[1]}};
  kernels::make_field(exec, labels, options_.field, whole);
  const int margin_y = (labels.dim[0] - target.dim[1]) / 2, margin_x = (labels.dim[1] - target.dim[2]) / 2;
  kernels::cut_tile(exec, whole, margin_y, margin_x, kernels::Outside::zero, kernels::Outside::zero, target);
  if (!has_ignored_) return;
  const View<float, 3> counted = to.map<float>("counted");
  kernels::counted_of_middle(exec, given, {counted.data, {counted.dim[1], counted.dim[2]}});
  const auto sample = [](View<float, 3> map) {
    return View<float, 4>{map.data, {1, map.dim[0], map.dim[1], map.dim[2]}};
  };
  kernels::keep_counted<float>(exec, sample(target), sample(counted), 0.f, sample(target));
}

LossTerms VectorFields::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const std::vector<Var> out = net_.forward(tape, {batch["image"]}, state);
  return vector_field_losses(tape, out[0], out[1], batch, options_);
}

LossTerms vector_field_losses(Tape& tape, Var logit, Var field, const Batch& targets,
                              const VectorFieldOptions& options) {
  constexpr double certain_background = -1e4;  // a probability of 0
  const bool partial = targets.tensors.contains("counted");
  if (partial) {
    logit = keep_counted(tape, logit, targets["counted"], certain_background);
    field = keep_counted(tape, field, targets["counted"], 0);
  }
  Var ivp = ivp_loss(tape, field, targets["target"], options.ivp);
  Var mse = mse_loss(tape, field, targets["target"]);
  if (partial) {
    const Tensor factor = counted_factor(tape, targets["counted"]);
    ivp = times(tape, ivp, factor), mse = times(tape, mse, factor);
  }
  const Var tversky = tversky_loss(tape, logit, targets["mask"], options.tversky[0], options.tversky[1]);
  const auto& w = options.weights;
  return {{{"ivp", ivp}, {"mse", mse}, {"tversky", tversky}},
          weighted_sum(tape, {{ivp, w[0]}, {mse, w[1]}, {tversky, w[2]}})};
}

std::vector<MapSpec> VectorFields::maps() const {
  return {{"logit", 1, MapSpec::Kind::scalar}, {"field", 2, MapSpec::Kind::vector}};
}

MemoryNeeds VectorFields::memory_needs() const {
  return {.per_pixel = 29, .per_tile_pixel = 28 * options_.net.width, .tiles = tile_needs};
}

std::unique_ptr<Predictor> VectorFields::predictor(const Exec& exec) const {
  return std::make_unique<FieldPredictor>(exec, net_);
}

Instances VectorFields::decode(const Exec& exec, Maps maps) const {
  const VectorFieldDecoding decoding = scaled(options_.decoding, maps.scale);
  return {basin::decode(exec, std::move(maps), decoding), {}, {}};
}

std::string VectorFields::reason_for_whole_image() const { return basin::reason_for_whole_image(options_.decoding); }

std::vector<ObjectExtent> VectorFields::decode_blocks(const BlockDecoding& image) const {
  return decode_in_blocks(image, scaled(options_.decoding, image.scale));
}

std::unique_ptr<Decoder> VectorFields::decoder(Maps maps) const {
  class Shared : public Decoder {
   public:
    Shared(Maps maps, const VectorFieldDecoding& decoding) : maps_(std::move(maps)) {
      options_.decoding = decoding;
      publish(options_, settings_);
    }
    Instances decode(const Exec& exec, const Json& decoding) override {
      settings_.set_decoding(decoding);
      const VectorFieldDecoding wanted = scaled(options_.decoding, maps_.scale);
      if (!followed_ || !same_flow(*followed_, wanted)) ends_ = follow(exec, maps_, wanted);
      followed_ = wanted;
      return {cluster(exec, ends_, wanted), {}, {}};
    }

   private:
    Maps maps_;
    VectorFieldOptions options_;
    Settings settings_;
    std::optional<VectorFieldDecoding> followed_;
    EndPoints ends_;
  };
  return std::make_unique<Shared>(std::move(maps), options_.decoding);
}

Maps VectorFields::oracle(const Exec& exec, const Labels& labels) const {
  const int height = labels.height, width = labels.width, margin = sample_spec().margin;
  const Exec cpu;
  const Tensor logit = Tensor::empty(cpu, {1, height, width});
  std::vector<int32_t> padded(size_t(height + 2 * margin) * size_t(width + 2 * margin));
  const View<int32_t, 2> ids{padded.data(), {height + 2 * margin, width + 2 * margin}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      ids(y + margin, x + margin) = labels(y, x);
      logit.view<float, 3>()(0, y, x) = labels(y, x) ? 10.f : -10.f;
    }
  const TargetTensors sample = make_target_tensors(cpu, targets(), 1, height, width);
  make_targets(cpu, {ids.data, {1, ids.dim[0], ids.dim[1]}}, SampleTargets(sample, 0));
  const Tensor& target = sample.at("target");
  const Tensor field = Tensor::borrow(target.owner(), target.raw(), Device::cpu, {2, height, width}, DType::f32);
  return {{{"logit", logit.to_device(exec)}, {"field", field.to_device(exec)}}};
}

Json recognise_torchvf(const SafeTensors& content, const std::string& file) {
  const StoredTensor* first = content.find("backbone.Encoder_0.conv1.weight");
  if (!first || first->shape.size() != 4) return nullptr;
  VectorFieldOptions o;
  o.net.width = int(first->shape[0]);
  o.net.in_channels = int(first->shape[1]);
  if (o.net.width < 1 || o.net.width > 1024 || o.net.in_channels < 1 || o.net.in_channels > 1024)
    refuse(file, " has a first convolution with an invalid number of channels");
  o.net.decoders = content.find("head_1.decoder_0.conv_block_0.0.weight") ? 2 : 1;
  return VectorFields(o).config();
}

}  // namespace basin

#include "models/methods/embedseg.h"

#include "engine/json.h"
#include "engine/ops/instance.h"
#include "models/methods/method_support.h"
#include "models/networks/tiling.h"

namespace basin {
namespace {

using kernels::CentreKind;
using Seeds = EmbedSegDecoding::Seeds;

constexpr std::pair<CentreKind, const char*> centres[] = {{CentreKind::medoid, "medoid"},
                                                          {CentreKind::approximate_medoid, "approximate_medoid"},
                                                          {CentreKind::centroid, "centroid"}};
constexpr std::pair<Seeds, const char*> seed_rules[] = {{Seeds::seed_map, "seed_map"},
                                                        {Seeds::local_maxima, "local_maxima"}};

void publish(EmbedSegOptions& o, Settings& s) {
  using Use = Setting::Use;
  s.integer(Use::network, "channels", o.channels, 1, 1023, "input channels, fewer than the width");
  s.integer(Use::network, "width", o.width, 2, 1024, "channels of the first network stage").option = "--width";
  s.seed(Use::network, "seed", o.seed, "seed of the dropout masks");
  s.add(normalisation_setting(o.normalisation));
  s.choice(Use::training, "centre", o.centre, centres, "the point of an object that its pixels point to");
  publish_capacity(o.capacity, s);
  publish_layers(o.layers, s);
  s.number(Use::training, "instance_weight", o.loss.instance, 0, 1e6, "weight of the loss of the objects' masks");
  s.number(Use::training, "variance_weight", o.loss.variance, 0, 1e6, "weight of the loss of the objects' sizes");
  s.number(Use::training, "seed_weight", o.loss.seed, 0, 1e6, "weight of the loss of the seed map");
  s.number(Use::training, "foreground_weight", o.loss.foreground, 0, 1e6,
           "weight of object pixels in the loss of the seed map");
  s.flag(Use::decoding, "views", o.views, "average the maps of the eight rotations and mirrorings of an image")
      .changes_maps = true;
  s.choice(Use::decoding, "seeds", o.decoding.seeds, seed_rules, "which pixels may be seeds");
  s.number(Use::decoding, "foreground", o.decoding.foreground, 1e-6, 1 - 1e-6,
           "threshold of the seed probability of the foreground");
  s.number(Use::decoding, "seed_threshold", o.decoding.seed_threshold, 1e-6, 1 - 1e-6,
           "smallest seed probability of a seed")
      .candidates = {"0.5", "0.7", "0.8", "0.9"};
  s.integer(Use::decoding, "min_size", o.decoding.min_size, 0, 1 << 30,
            "objects with this many pixels or fewer are dropped, px")
      .candidates = {"10", "20", "36"};
  s.number(Use::decoding, "unclaimed", o.decoding.unclaimed, 0, 1,
           "smallest fraction of an object's pixels that no earlier object has");
}

/// Returns the options; throws if the first stage of the network would add no channels to those of the image.
const EmbedSegOptions& with_fitting_width(const EmbedSegOptions& o) {
  if (o.width <= o.channels)
    refuse("--width ", o.width, ": es needs more channels in its first stage than the ", o.channels,
           " of the images, because it adds to them; give a larger --width");
  return o;
}

}  // namespace

EmbedSeg::EmbedSeg(const EmbedSegOptions& options)
    : options_(with_fitting_width(options)),
      net_(params_, {.in_channels = options.channels, .width = options.width, .seed = options.seed}) {
  publish(options_, settings_);
}
EmbedSeg::EmbedSeg(const std::string&, const Json& config) : EmbedSeg(options_from<EmbedSegOptions>(config, publish)) {}

void EmbedSeg::init(const Exec& exec, uint64_t seed) {
  params_.init(exec, seed);
  // The last layer of the first decoder gets weights of 0 and biases of 0 and 1, so that all offsets start at 0 and all
  // sigmas at 1, a half-margin of 5.7 px.
  const std::string layer = "decoders.0.output_conv.";
  int found = 0;
  for (const Params::Named& n : params_.learnt()) {
    const bool is_bias = n.name == layer + "bias";
    if (!is_bias && n.name != layer + "weight") continue;
    std::vector<float> values(size_t(n.shape.size()), 0.f);
    if (is_bias) values[2] = values[3] = 1;
    params_.value_slice(n).copy_from_host(exec, values.data());
    ++found;
  }
  BASIN_CHECK(found == 2, found, " tensors are named ", layer, "weight or ", layer, "bias");
}

TrainingDefaults EmbedSeg::training_defaults() const {
  TrainingDefaults d;
  d.batch = 2, d.accumulate = 8, d.epochs = 200;
  d.rate = {.rate = 5e-4, .schedule = Schedule::polynomial, .power = 0.9};
  d.adam.weight_decay = 1e-4;
  d.augment = "rotate,flip";
  return d;
}

SampleSpec EmbedSeg::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_.channels;
  spec.multiple = ErfNet::multiple;
  spec.layers = options_.layers;
  spec.normalisation = options_.normalisation;
  spec.sampling = Sampling::object_crop;
  spec.host_targets = true;
  return spec;
}

TargetSpec EmbedSeg::targets() const { return {{{"labels", options_.layers, DType::i32}}, {}}; }

void EmbedSeg::make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) const {
  check_capacity(cut_compact(labels, to.map<int32_t>("labels")), options_.capacity, object_limits().counts_mirrored);
}

LossTerms EmbedSeg::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const Var raw = net_.forward(tape, {batch["image"]}, state);
  const InstanceTargets targets = instance_targets(tape.exec(), batch["labels"], options_.capacity, options_.centre);
  const InstanceLoss loss = instance_loss(tape, raw, targets, options_.loss);
  const auto term = [&](int k) {
    return Var{Tensor::borrow(loss.terms.owner(), loss.terms.data<float>() + k, loss.terms.device(), {1}, DType::f32)};
  };
  return {{{"instance", term(1)}, {"variance", term(2)}, {"seed", term(3)}}, loss.total};
}

std::vector<MapSpec> EmbedSeg::maps() const {
  using Kind = MapSpec::Kind;
  return {
      {.name = "raw", .channels = 5, .kinds = {Kind::offset, Kind::offset, Kind::extent, Kind::extent, Kind::scalar}}};
}

MemoryNeeds EmbedSeg::memory_needs() const {
  return {
      .per_pixel = 55, .per_tile_pixel = 13 * options_.width, .tiles = {ErfNet::multiple, ErfNet::receptive_radius}};
}

/// A copy of the network with its own weights.
class EmbedSeg::Network : public Predictor {
 public:
  Network(const Exec& exec, const EmbedSeg& method) : method_(method.options_) {
    method_.take_parameters(exec, method);
    method_.net_.fold_norms(exec);
    prepared_ = method_.params_.prepared_weights();
  }

  Maps predict(const Exec& given, const Tensor& image, const TilingOptions& tiling) const override {
    Exec exec = given;
    exec.prepared = prepared_.get();
    const auto run = [&](const Tensor& tiles) {
      Tape tape(exec, Tape::Mode::evaluate);
      return std::vector<Tensor>{method_.net_.forward(tape, {tiles}, nullptr).value};
    };
    return {{{"raw", run_tiled(exec, image, tiling, method_.memory_needs().tiles, {false}, run)[0]}}};
  }

 private:
  EmbedSeg method_;
  std::unique_ptr<PreparedWeights> prepared_;
};

std::unique_ptr<Predictor> EmbedSeg::predictor(const Exec& exec) const {
  return std::make_unique<Network>(exec, *this);
}

Instances EmbedSeg::decode(const Exec& exec, Maps maps) const {
  Instances found;
  found.labels = basin::decode(exec, std::move(maps.tensors.at("raw")), options_.decoding, &found.planes);
  return found;
}

Maps EmbedSeg::oracle(const Exec& exec, const Labels& labels) const { return layered_oracle(exec, labels, 1); }

Maps EmbedSeg::layered_oracle(const Exec& exec, const Labels& labels, int layers) const {
  return {{{"raw", embedseg_oracle(exec, labels, options_.centre, layers)}}};
}

}  // namespace basin

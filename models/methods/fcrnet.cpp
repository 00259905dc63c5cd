#include "models/methods/fcrnet.h"

#include <algorithm>

#include "engine/json.h"
#include "engine/ops/embedding.h"
#include "engine/ops/loss.h"
#include "models/methods/method_support.h"
#include "models/methods/object_colouring.h"
#include "models/networks/tiling.h"

namespace basin {
namespace {

using kernels::BackgroundRule;

constexpr std::pair<BackgroundRule, const char*> background_rules[] = {{BackgroundRule::most_frequent, "most_frequent"},
                                                                       {BackgroundRule::border, "border"}};

void publish(FcrNetOptions& o, Settings& s) {
  using Use = Setting::Use;
  s.integer(Use::network, "channels", o.channels, 1, 1024, "input channels");
  s.integer(Use::network, "width", o.width, 1, 1024, "channels of the first network stage").option = "--width";
  s.integer(Use::network, "colours", o.colours, 2, 64,
            "number of colours, one of them for the background; published: 4");
  s.seed(Use::network, "seed", o.seed, "seed of the dropout masks");
  s.add(normalisation_setting(o.normalisation));
  s.number(Use::training, "radius", o.radius, 1, 64,
           "objects within this distance should have different colours, px; published: 10");
  publish_capacity(o.capacity, s);
  s.flag(Use::training, "cosine", o.cosine, "use the loss of the paper instead of that of its authors' code");
  s.number(Use::training, "inter_weight", o.inter_weight, 0, 1e6, "weight of the loss between objects; published: 4");
  s.number(Use::training, "guide_weight", o.guide_weight, 0, 1e6,
           "weight of the difference from a colouring by a fixed rule, which shortens the training; published: 0")
      .optional = true;
  s.numbers(Use::training, "alphas", o.alphas, "exponents of the activation, one for each fifth of the training");
  s.number(Use::training, "block_dropout", o.block_dropout, 0, 0.95,
           "dropout of the features of the two coarsest stages; in the paper 0.2, in the authors' runs inactive")
      .optional = true;
  s.number(Use::training, "head_dropout", o.head_dropout, 0, 0.95,
           "dropout before the head; in the paper 0.5, in the authors' runs inactive")
      .optional = true;
  s.choice(Use::decoding, "background", o.decoding.background, background_rules,
           "how the colour of the background is found")
      .candidates = {"most_frequent", "border"};
  Setting& connectivity =
      s.integer(Use::decoding, "connectivity", o.decoding.connectivity, 4, 8, "connectivity of an object's pixels");
  connectivity.range = "4 or 8";
  connectivity.assign = [&o](const Json& j) {
    if (j != 4 && j != 8) return false;
    o.decoding.connectivity = j.get<int>();
    return true;
  };
  s.integer(Use::decoding, "min_size", o.decoding.min_size, 0, 1 << 30, "smaller objects are dropped, px; published: 0")
      .candidates = {"0", "15", "25"};
}

/// Model files from before the guide was introduced lack its weight.
FcrNetOptions without_guide() {
  FcrNetOptions options;
  options.guide_weight = 0;
  return options;
}

}  // namespace

FcrNet::FcrNet(const FcrNetOptions& options)
    : options_(options),
      net_(params_, "", {.in_channels = options.channels, .width = options.width}),
      head_(params_, "colours", options.width, options.colours) {
  publish(options_, settings_);
}
FcrNet::FcrNet(const std::string&, const Json& config)
    : FcrNet(options_from<FcrNetOptions>(config, publish, config.is_null() ? FcrNetOptions{} : without_guide())) {}

void FcrNet::check_settings() const {
  if (*std::min_element(options_.alphas.begin(), options_.alphas.end()) <= 0)
    refuse("--set alphas: an exponent of 0 gives every pixel all colours; expected numbers above 0");
}

TrainingDefaults FcrNet::training_defaults() const {
  TrainingDefaults d;
  d.batch = 4, d.epochs = 600;
  d.rate = {
      .rate = 1e-4, .schedule = Schedule::step, .factor = 0.9, .every = 80 * 151};  // 80 epochs of the authors' data
  d.adam.epsilon_inside = true;
  return d;
}

SampleSpec FcrNet::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_.channels;
  spec.multiple = PlainUNet::multiple;
  spec.normalisation = options_.normalisation;
  spec.host_targets = true;
  return spec;
}

TargetSpec FcrNet::targets() const {
  TargetSpec spec{{{"labels", 1, DType::i32}}, {}};
  if (options_.guide_weight > 0) spec.maps.push_back({"guide", options_.colours});
  return spec;
}

void FcrNet::make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) const {
  const View<int32_t, 3> target = to.map<int32_t>("labels");
  check_capacity(cut_compact(labels, target), options_.capacity);
  if (options_.guide_weight > 0) make_guide(first_layer(target), to.map<float>("guide"));
}

void FcrNet::make_guide(View<const int32_t, 2> labels, View<float, 3> guide) const {
  const int32_t count = *std::max_element(labels.data, labels.data + labels.size());
  const Labels objects{labels.dim[0], labels.dim[1], count, {labels.data, labels.data + labels.size()}};
  write_one_hot(labels, colour_in_raster_order(objects, object_graph(objects, options_.radius), options_.colours - 1),
                guide);
}

double FcrNet::scheduled(double progress) const { return options_.alphas[size_t(std::clamp(int(progress * 5), 0, 4))]; }

Var FcrNet::forward(Tape& tape, const Tensor& image, const StepState* state) const {
  const Var features = net_.forward(tape, {{image}}, {options_.block_dropout, options_.seed, 0}, state);
  return head_.forward(tape, optional_dropout(tape, features, {options_.head_dropout, options_.seed, 2}, state),
                       Layout::nchw);
}

LossTerms FcrNet::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const Var e = forward(tape, batch["image"], state);
  Var h = power_activation(tape, e, scheduled_number(tape.exec(), state));
  kernels::EmbeddingLossOptions options = options_.cosine ? kernels::fcrnet_cosine_loss : kernels::fcrnet_loss;
  options.inter_weight = options_.inter_weight;
  const Var colours = h;
  if (options_.cosine) h = unit_vectors(tape, h);
  const ObjectTables tables =
      object_tables(tape.exec(), without_channel(batch["labels"]), options_.capacity, options_.radius);
  const EmbeddingLoss loss = embedding_loss(tape, h, tables, options);
  if (options_.guide_weight == 0) return {{{"intra", {loss.intra}}, {"inter", {loss.inter}}}, loss.total};
  const Var guide = mse_loss(tape, colours, batch["guide"]);
  return {{{"intra", {loss.intra}}, {"inter", {loss.inter}}, {"guide", guide}},
          weighted_sum(tape, {{loss.total, 1.0}, {guide, options_.guide_weight}})};
}

std::vector<MapSpec> FcrNet::maps() const { return {{"colours", options_.colours, MapSpec::Kind::code}}; }

MemoryNeeds FcrNet::memory_needs() const {
  return {.per_pixel = 4 * options_.colours + 8,
          .per_tile_pixel = 52 * options_.width,
          .tiles = {PlainUNet::multiple, receptive_radius}};
}

/// A copy of the network with its own weights.
class FcrNet::Network : public Predictor {
 public:
  Network(const Exec& exec, const FcrNet& method) : method_(method.options_) {
    method_.take_parameters(exec, method);
    alpha_ = Tensor::from<float>(exec, {1}, {float(method_.scheduled(1))});  // as at the end of its training
  }

  Maps predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const override {
    const auto run = [&](const Tensor& tiles) {
      Tape tape(exec, Tape::Mode::evaluate);
      const Var e = method_.forward(tape, tiles, nullptr);
      return std::vector<Tensor>{power_activation(tape, e, alpha_).value};
    };
    return {{{"colours", run_tiled(exec, image, tiling, method_.memory_needs().tiles, {false}, run)[0]}}};
  }

 private:
  FcrNet method_;
  Tensor alpha_;
};

std::unique_ptr<Predictor> FcrNet::predictor(const Exec& exec) const { return std::make_unique<Network>(exec, *this); }

Instances FcrNet::decode(const Exec& exec, Maps maps) const {
  return {decode_colours(exec, std::move(maps.tensors.at("colours")), options_.decoding), {}, {}};
}

Maps FcrNet::oracle(const Exec& exec, const Labels& labels) const {
  return {{{"colours", colour_oracle(exec, labels, options_.colours, options_.radius)}}};
}

}  // namespace basin

#include "models/methods/wnet.h"

#include <algorithm>

#include "engine/json.h"
#include "engine/ops/embedding.h"
#include "engine/ops/loss.h"
#include "kernels/embedding/smooth_embedding.h"
#include "kernels/field/distance_target.h"
#include "kernels/image/gaussian.h"
#include "kernels/image/tiles.h"
#include "kernels/runtime/scratch.h"
#include "models/methods/method_support.h"
#include "models/networks/tiling.h"

namespace basin {
namespace {

void publish(WNetOptions& o, Settings& s) {
  using Use = Setting::Use;
  s.integer(Use::network, "channels", o.channels, 1, 1024, "input channels");
  s.integer(Use::network, "width", o.width, 1, 1024, "channels of the first network stage").option = "--width";
  s.integer(Use::network, "embedding", o.embedding, 2, 64, "channels of the embedding");
  s.seed(Use::network, "seed", o.seed, "seed of the dropout masks");
  s.add(normalisation_setting(o.normalisation));
  s.number(Use::training, "radius", o.radius, 1, 64,
           "objects within this distance should have different embeddings, px");
  publish_capacity(o.capacity, s);
  s.number(Use::training, "inter_weight", o.inter_weight, 0, 1e6, "weight of the loss between objects");
  s.flag(Use::training, "pixel_mean", o.pixel_mean, "weight the loss by pixel instead of by object");
  s.number(Use::training, "block_dropout", o.block_dropout, 0, 0.95,
           "dropout of the features of the two coarsest stages; in the paper 0.5, in the authors' runs inactive")
      .optional = true;
  s.number(Use::training, "head_dropout", o.head_dropout, 0, 0.95,
           "dropout before the heads and before what the second network sees; in the paper 0.5, in the authors' runs "
           "inactive")
      .optional = true;
  s.number(Use::decoding, "sigma", o.decoding.sigma, 0, kernels::max_sigma,
           "standard deviation of the smoothing of the distance map, px; published: 3")
      .candidates = {"0", "0.5", "1", "2"};
  s.number(Use::decoding, "peak", o.decoding.peaks.threshold, 0, 1,
           "seeds are above this fraction of the largest distance")
      .candidates = {"0.3", "0.5", "0.7"};
  s.integer(Use::decoding, "peak_radius", o.decoding.peaks.radius, 1, 500,
            "a seed is the maximum within this distance, px");
  s.integer(Use::decoding, "border", o.decoding.peaks.border, 0, 1000,
            "width of the image border without seeds, px; published: 10");
  s.integer(Use::decoding, "embedding_radius", o.decoding.embedding_radius, 0, kernels::max_disc_radius,
            "radius of the disc over which embeddings are averaged, px; smaller objects need a smaller one")
      .candidates = {"0", "1", "3"};
  Setting& min_size =
      s.integer(Use::decoding, "min_size", o.decoding.weak.min_size, 0, 1 << 30, "smaller objects are dropped, px");
  min_size.optional = true;
  s.number(Use::decoding, "min_depth", o.decoding.weak.min_mean, 0, 1,
           "objects are dropped whose mean distance is less than this fraction of the largest one")
      .optional = true;
  s.number(Use::decoding, "cosine", o.decoding.min_cosine, -1, 1,
           "smallest cosine between a pixel's embedding and that of its seed")
      .candidates = {"0.6", "0.7", "0.8"};
}

}  // namespace

WNet::WNet(const WNetOptions& o)
    : options_(o),
      first_(params_, "first.", {.in_channels = o.channels, .width = o.width}),
      distance_(params_, "distance", o.width, 1),
      forwarded_(params_, "forwarded", o.width, o.width),
      second_(params_, "second.", {.in_channels = o.channels + o.width, .width = o.width}),
      embedding_(params_, "embedding", o.width, o.embedding) {
  publish(options_, settings_);
}
WNet::WNet(const std::string&, const Json& config) : WNet(options_from<WNetOptions>(config, publish)) {}

TrainingDefaults WNet::training_defaults() const {
  TrainingDefaults d;
  d.batch = 4, d.epochs = 500;
  d.rate = {.rate = 1e-4, .schedule = Schedule::step, .factor = 0.9, .every = 5000};
  d.adam.epsilon_inside = true;
  return d;
}

SampleSpec WNet::sample_spec() const {
  SampleSpec spec;
  spec.channels = options_.channels;
  spec.multiple = PlainUNet::multiple;
  spec.normalisation = options_.normalisation;
  spec.host_targets = true;
  spec.margin = 1;
  spec.beyond = -1;           // the image border is not an object boundary
  spec.whole_objects = true;  // distances are relative to the largest one in the whole object
  return spec;
}

TargetSpec WNet::targets() const { return {{{"labels", 1, DType::i32}, {"distance", 1}}, {}}; }

void WNet::make_targets(const Exec& exec, View<const int32_t, 3> layers, const SampleTargets& to) const {
  check_capacity(cut_compact(layers, to.map<int32_t>("labels")), options_.capacity);
  const View<float, 3> distance = to.map<float>("distance");
  const View<const int32_t, 2> labels = first_layer(layers);
  // Ids of the whole image may be large, so they are renumbered.
  const Temp<int32_t> ids(exec, labels.size());
  const Temp<float> whole(exec, labels.size());
  const View<int32_t, 2> all{ids.data(), {labels.dim[0], labels.dim[1]}};
  cut_compact(layers, {all.data, {1, all.dim[0], all.dim[1]}});
  const int count = *std::max_element(all.data, all.data + all.size());
  for (int64_t i = 0; i < all.size(); ++i)
    if (labels.data[i] < 0) all.data[i] = -1;
  kernels::distance_target(exec, all, count + 1, distance_scale, {whole.data(), {labels.dim[0], labels.dim[1]}});
  const int margin_y = (labels.dim[0] - distance.dim[1]) / 2, margin_x = (labels.dim[1] - distance.dim[2]) / 2;
  kernels::cut_tile(exec, {whole.data(), {1, labels.dim[0], labels.dim[1]}}, margin_y, margin_x, kernels::Outside::zero,
                    kernels::Outside::zero, distance);
}

WNet::Outputs WNet::forward(Tape& tape, const Tensor& image, const StepState* state) const {
  const Layout layout = first_.layout(tape.exec());
  const auto blocks = [&](uint32_t layer) { return DropoutOptions{options_.block_dropout, options_.seed, layer}; };
  const auto dropped = [&](const Var& features, uint32_t layer) {
    return optional_dropout(tape, features, {options_.head_dropout, options_.seed, layer}, state);
  };
  const Var features = first_.forward(tape, {{image}}, blocks(0), state);
  const Var forwarded = normalise_pixels(tape, forwarded_.forward(tape, dropped(features, 4), layout));
  const Var second = second_.forward(tape, {{image}, forwarded}, blocks(2), state);
  return {distance_.forward(tape, dropped(features, 5), Layout::nchw, true),
          unit_vectors(tape, embedding_.forward(tape, dropped(second, 6), Layout::nchw))};
}

LossTerms WNet::loss(Tape& tape, const Batch& batch, const StepState* state) const {
  const Outputs out = forward(tape, batch["image"], state);
  const Var distance = mse_loss(tape, out.distance, batch["distance"]);
  kernels::EmbeddingLossOptions options = kernels::wnet_loss;
  options.inter_weight = options_.inter_weight;
  options.per_object = !options_.pixel_mean;
  const ObjectTables tables =
      object_tables(tape.exec(), without_channel(batch["labels"]), options_.capacity, options_.radius);
  const EmbeddingLoss embedding = embedding_loss(tape, out.embedding, tables, options);
  return {{{"distance", distance}, {"intra", {embedding.intra}}, {"inter", {embedding.inter}}},
          weighted_sum(tape, {{distance, 1.0}, {embedding.total, 1.0}})};
}

std::vector<MapSpec> WNet::maps() const {
  return {{"distance", 1}, {"embedding", options_.embedding, MapSpec::Kind::code}};
}

MemoryNeeds WNet::memory_needs() const {
  return {.per_pixel = 8 * options_.embedding + 10,
          .per_tile_pixel = 33 * options_.width,
          .fixed = 5 * int64_t(sizeof(float)) * params_.count(),
          .tiles = {PlainUNet::multiple, receptive_radius}};
}

/// A copy of the networks with its own weights.
class WNet::Network : public Predictor {
 public:
  Network(const Exec& exec, const WNet& method) : method_(method.options_) { method_.take_parameters(exec, method); }

  Maps predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const override {
    const auto run = [&](const Tensor& tiles) {
      Tape tape(exec, Tape::Mode::evaluate);
      const Outputs out = method_.forward(tape, tiles, nullptr);
      return std::vector<Tensor>{out.distance.value, out.embedding.value};
    };
    const std::vector<Tensor> maps = run_tiled(exec, image, tiling, method_.memory_needs().tiles, {false, false}, run);
    return {{{"distance", maps[0]}, {"embedding", maps[1]}}};
  }

 private:
  WNet method_;
};

std::unique_ptr<Predictor> WNet::predictor(const Exec& exec) const { return std::make_unique<Network>(exec, *this); }

Instances WNet::decode(const Exec& exec, Maps maps) const {
  return {decode_seeds(exec, std::move(maps.tensors.at("distance")), std::move(maps.tensors.at("embedding")),
                       options_.decoding),
          {},
          {}};
}

Maps WNet::oracle(const Exec& exec, const Labels& labels) const {
  const SeedMaps maps = seed_oracle(exec, labels, options_.embedding, options_.radius);
  return {{{"distance", maps.distance}, {"embedding", maps.embedding}}};
}

}  // namespace basin

#include <doctest/doctest.h>

#include "data/synth/synth.h"
#include "engine/json.h"
#include "engine/ops/loss.h"
#include "engine/ops/nn.h"
#include "kernels/image/components.h"
#include "models/inference/model_file.h"
#include "models/inference/tuning.h"
#include "models/training/trainer.h"
#include "tests/support/file_support.h"

// A complete method in one file, which shows what a new method has to implement. Training, model files, segmentation
// and tuning use only its interface.

using namespace basin;
using namespace basin::test;

namespace {

/// Bright pixels are objects: a 3x3 convolution with one output, thresholded, and connected components.
class Toy : public Method {
 public:
  Toy(const std::string&, const Json& config) {
    settings_.integer(Setting::Use::network, "channels", channels_, 1, 16, "channels of the images");
    settings_.seed(Setting::Use::network, "seed", seed_, "unused");
    Setting& threshold =
        settings_.number(Setting::Use::decoding, "threshold", threshold_, 0.01, 0.99, "foreground probability");
    threshold.candidates = {"0.3", "0.5"};
    if (!config.is_null()) settings_.read(config);
    weight_ = params_.add("conv.weight", {4, channels_, 3, 3}, 0.3);
    head_ = params_.add("head.weight", {1, 4, 1, 1}, 0.5);
    bias_ = params_.add("head.bias", {1}, 0.5);
  }

  std::string name() const override { return "toy"; }
  SampleSpec sample_spec() const override {
    SampleSpec spec;
    spec.channels = channels_;
    return spec;
  }
  TargetSpec targets() const override { return {{{"mask", 1}}, {}}; }
  void make_targets(const Exec&, View<const int32_t, 3> labels, const SampleTargets& to) const override {
    const View<float, 3> mask = to.map<float>("mask");
    for (int64_t i = 0; i < labels.size(); ++i)
      mask.data[i] = labels.data[i] ? 1.f : 0.f;
  }
  LossTerms loss(Tape& tape, const Batch& batch, const StepState*) const override {
    const Var loss = tversky_loss(tape, forward(tape, batch["image"]), batch["mask"], 0.5, 0.5);
    return {{{"tversky", loss}}, loss};
  }
  std::vector<MapSpec> maps() const override { return {{"logit", 1}}; }
  std::unique_ptr<Predictor> predictor(const Exec& exec) const override {
    struct Network : Predictor {
      Toy copy{"toy", Json()};
      Maps predict(const Exec& exec, const Tensor& image, const TilingOptions& tiling) const override {
        const auto run = [&](const Tensor& tiles) {
          Tape tape(exec, Tape::Mode::evaluate);
          return std::vector<Tensor>{copy.forward(tape, tiles).value};
        };
        return {{{"logit", run_tiled(exec, image, tiling, {1, 1}, {false}, run)[0]}}};
      }
    };
    auto network = std::make_unique<Network>();
    network->copy.params_.allocate(exec);
    network->copy.params_.values().copy_from(exec, params_.values());
    return network;
  }
  Instances decode(const Exec& exec, Maps maps) const override { return decode_at(exec, maps, threshold_); }
  std::unique_ptr<Decoder> decoder(Maps maps) const override {
    struct Again : Decoder {
      Maps maps;
      explicit Again(Maps m) : maps(std::move(m)) {}
      Instances decode(const Exec& exec, const Json& decoding) override {
        return decode_at(exec, maps, decoding["threshold"].get<double>());
      }
    };
    return std::make_unique<Again>(std::move(maps));
  }
  Maps oracle(const Exec& exec, const Labels& labels) const override {
    std::vector<float> logit;
    for (const int32_t id : labels.ids)
      logit.push_back(id ? 9.f : -9.f);
    return {{{"logit", Tensor::from(exec, {1, labels.height, labels.width}, logit)}}};
  }

 private:
  Var forward(Tape& tape, const Tensor& image) const {
    const Var x = conv(tape, {image}, params_.parameter(weight_), Layout::nchw);
    return pointwise(tape, x, params_.parameter(head_), params_.parameter(bias_));
  }
  static Instances decode_at(const Exec& exec, const Maps& maps, double threshold) {
    const std::vector<float> logit = maps["logit"].to_host<float>(exec);
    Labels labels{maps["logit"].dim(1), maps["logit"].dim(2), 0, std::vector<int32_t>(logit.size())};
    std::vector<uint8_t> mask;
    for (const float z : logit)
      mask.push_back(1 / (1 + std::exp(-double(z))) > threshold);
    labels.count = int(kernels::components({}, {mask.data(), {labels.height, labels.width}}, 8,
                                           {labels.ids.data(), {labels.height, labels.width}}));
    return {labels, {}, {}};
  }

  int channels_ = 1;
  uint64_t seed_ = 0;
  double threshold_ = 0.5;
  int weight_, head_, bias_;
};

std::unique_ptr<Method> make_toy(const std::string& name, const Json& config) {
  return std::make_unique<Toy>(name, config);
}

void register_toy() {
  static const bool once = [] {
    add_method({"toy", "bright pixels", make_toy});
    return true;
  }();
  (void)once;
}

std::vector<Example> toy_nuclei(int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i) {
    Synthetic s = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 9}, i);
    examples.push_back({"image" + std::to_string(i), Source(std::move(s.image), 1, parse_normalisation("divide"), "s"),
                        StoredLabels(s.labels)});
  }
  return examples;
}

}  // namespace

TEST_CASE("toy method: training, saving, loading, tuning and segmenting use only the Method interface") {
  register_toy();
  const Exec cpu;
  const Folder folder;
  const std::vector<Example> examples = toy_nuclei(4);
  const std::unique_ptr<Method> method = make_method("toy", {{"threshold", "0.4", "--set threshold=0.4"}});
  method->params().allocate(cpu);
  TrainOptions o;
  o.steps = 120, o.crop = 32, o.rate.rate = 0.1, o.save_every = 60, o.validate_every = 60;
  o.segment.tiling = {.tile = 64, .overlap = 0};
  train(cpu, *method, examples, examples, o, {folder.path()}, false);

  const Model model = load_model(folder / "best.safetensors", cpu);
  CHECK(model.method->name() == "toy");
  CHECK(model.method->config() == method->config());
  CHECK(model.method->config()["decoding"]["threshold"] == 0.4);
  const std::vector<Json> decodings =
      decodings_to_try(model.method->settings(), proposed_grid(model.method->settings()));
  CHECK(decodings.size() == 3);
  const std::vector<ValidationScores> scores =
      try_decodings(cpu, *model.method, *model.predictor, examples, decodings, Dialect::stardist, {});
  CHECK(scores[ranking(scores, "AP50")[0]].ap50 > 0.3);
  const Segmentation s = segment_source(cpu, *model.method, *model.predictor, examples[0].source, o.segment);
  CHECK(s.instances.labels.count > 0);
}

TEST_CASE("toy method: a predictor is not affected by later changes of the parameters") {
  register_toy();
  const Exec cpu;
  const std::unique_ptr<Method> method = make_method("toy", {});
  method->params().allocate(cpu);
  method->params().init(cpu, 1);
  const std::unique_ptr<Predictor> predictor = method->predictor(cpu);
  const Tensor image = Tensor::from<float>(cpu, {1, 8, 8}, std::vector<float>(64, 1.f));
  const std::vector<float> before = predictor->predict(cpu, image, {})["logit"].to_host<float>(cpu);
  method->params().values().zero(cpu);
  CHECK(predictor->predict(cpu, image, {})["logit"].to_host<float>(cpu) == before);
}

TEST_CASE("registry: unknown methods and settings are refused by name") {
  register_toy();
  const auto refusal_of = [](const std::string& name, const std::vector<Assignment>& a) {
    return refusal([&] { make_method(name, a); });
  };
  CHECK(contains(refusal_of("yolo", {}), "method yolo is unknown to this version of Basin; the methods are vf-h1"));
  CHECK(
      contains(refusal_of("toy", {parse_assignment("eps=2")}), "--set eps: this method has no setting \"eps\"; its "));
  CHECK(contains(refusal_of("toy", {parse_assignment("threshold=2")}), "--set threshold=2: expected 0.01 to 0.99"));
  CHECK(contains(refusal_of("toy", {parse_assignment("threshold=x")}), "--set threshold=x: expected 0.01 to 0.99"));
  CHECK(contains(refusal([] { parse_assignment("threshold"); }), "--set threshold: expected KEY=VALUE"));
  CHECK(contains(refusal([] { make_method(Json{{"method", "toy"}}); }), "contain no valid channels"));
  const std::unique_ptr<Method> toy = make_method("toy", {});
  CHECK(contains(refusal([&] { toy->settings().set(parse_assignment("channels=3"), {Setting::Use::decoding}); }),
                 "--set channels=3: this setting is fixed when a model is trained"));
}

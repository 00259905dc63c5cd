#include <algorithm>

#include "data/synth/synth.h"
#include "models/inference/segmenter.h"
#include "models/registry.h"
#include "models/training/feed.h"
#include "models/training/stepper.h"
#include "tools/bench/bench.h"

namespace basin::tools {
namespace {

/// The method, with initial weights.
std::unique_ptr<Method> initial_method(const BenchOptions& o, const Exec& exec) {
  std::vector<Assignment> assignments;
  for (const std::string& text : o.assignments)
    assignments.push_back(parse_assignment(text));
  std::unique_ptr<Method> method = make_method(o.model, assignments);
  method->params().allocate(exec);
  method->init(exec, o.seed);
  return method;
}

/// An image of synthetic nuclei with `channels` equal channels.
Example synthetic_example(const BenchOptions& o, int channels) {
  const Synthetic nuclei = make_synthetic({.kind = SynthKind::nuclei, .size = o.side, .seed = o.seed, .bits = 8}, 0);
  Image image{o.side, o.side, channels, PixelType::u8, {}};
  for (const std::byte value : nuclei.image.pixels)
    image.pixels.insert(image.pixels.end(), size_t(channels), value);
  return {"nuclei", Source(std::move(image), channels, {}, "synthetic nuclei"), StoredLabels(nuclei.labels)};
}

std::string shape_of(const BenchOptions& o, int batch, int channels) {
  const std::string side = std::to_string(o.side);
  return o.model + ", " + std::to_string(batch) + "x" + std::to_string(channels) + "x" + side + "x" + side;
}

}  // namespace

std::vector<BenchResult> bench_method_train(const BenchOptions& asked) {
  BenchOptions o = asked;
  if (o.exec.device == Device::cpu) o.exec.precision = Precision::fp32;  // the CPU trains only in fp32
  const std::unique_ptr<Method> method = initial_method(o, o.exec);
  const SampleSpec spec = method->sample_spec();
  if (o.side % spec.multiple != 0) refuse("--side ", o.side, ": ", o.model, " needs a multiple of ", spec.multiple);
  const std::vector<Example> examples{synthetic_example(o, spec.channels)};
  LoaderOptions load = loader_options(o.exec, *method);
  load.batch = o.batch, load.crop = o.side, load.prefetch = 1;
  Loader loader(examples, load, target_maker(*method));
  Feed feed(o.exec, loader);
  const Batch batch = feed.next().batch;
  const TrainingDefaults defaults = method->training_defaults();
  StepperOptions stepping = of_ranks();
  stepping.adam = defaults.adam;
  Stepper stepper(o.exec, *method, stepping);
  int64_t step = 0;
  const auto one = [&] { stepper.step(batch, step++, defaults.rate.rate); };
  for (int k = 0; k < 3; ++k)
    one();
  const double first = stepper.take_sums().back();
  BenchResult r = time_it(o, "method-train", shape_of(o, o.batch, spec.channels), one);
  const double later = stepper.take_sums().back() / double(step - 3);
  BASIN_CHECK(stepper.first_bad() < 0 && later < first / 3, "method-train: the loss does not fall: ", first / 3,
              ", then ", later);
  return {r};
}

std::vector<BenchResult> bench_method_segment(const BenchOptions& o) {
  const std::unique_ptr<Method> method = initial_method(o, o.exec);
  const std::unique_ptr<Predictor> predictor = method->predictor(o.exec);
  const int channels = method->sample_spec().channels;
  const Example nuclei = synthetic_example(o, channels);
  const std::string shape = shape_of(o, 1, channels);
  SegmentOptions options;
  options.tiling.tiling = Tiling::fit;
  BenchResult network = time_it(o, "method-segment, network", shape,
                                [&] { predict_source(o.exec, *method, *predictor, nuclei.source, options); });
  // An untrained network gives arbitrary maps, and decoding them an arbitrary time.
  const Labels truth = true_labels(nuclei);
  Instances found;
  BenchResult decode = time_it(o, "method-segment, decode", shape,
                               [&] { found = method->decode(o.exec, method->oracle(o.exec, truth)); });
  BASIN_CHECK(found.labels.count > truth.count / 2, "method-segment: ", found.labels.count, " objects instead of ",
              truth.count);
  network.peak_bytes = 0;
  BenchResult all = network;
  all.name = "method-segment";
  all.median_ms += decode.median_ms, all.min_ms += decode.min_ms, all.cpu_ms += decode.cpu_ms;
  all.decode_share = decode.median_ms / all.median_ms;
  return {all, network, decode};
}

}  // namespace basin::tools

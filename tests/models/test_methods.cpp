#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <future>
#include <sstream>

#include "data/dataset/loader.h"
#include "data/synth/synth.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "models/methods/vector_fields.h"
#include "models/training/trainer.h"
#include "tests/support/file_support.h"
#include "tests/support/method_support.h"
#include "tests/support/support.h"

// Requirements for every method: the published number of parameters, exact resumption, images of awkward sizes, and
// predictors that several threads use at once.

using namespace basin;
using namespace basin::test;

namespace {

int64_t parameters(const std::string& name, const std::vector<std::string>& assignments) {
  return method_with(name, assignments)->params().count();
}

Example example(const std::string& stem, const Labels& labels) {
  Image image{labels.height, labels.width, 1, PixelType::u8, {}};
  for (size_t i = 0; i < labels.ids.size(); ++i)
    image.pixels.push_back(std::byte((labels.ids[i] ? 180 : 20) + int(i * 7 % 13)));
  return {stem, Source(std::move(image), 1, parse_normalisation("percentile:1,99.8"), stem), StoredLabels(labels)};
}

std::vector<Example> nuclei(int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; ++i)
    examples.push_back(example("image" + std::to_string(i),
                               make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, i).labels));
  return examples;
}

/// The targets of one whole image of 64 x 64 pixels.
TargetTensors targets_of(const Method& method, const Labels& truth) {
  const SampleSpec spec = method.sample_spec();
  std::vector<Example> examples;
  examples.push_back(example("image", truth));
  LoaderOptions load;
  load.batch = 1, load.crop = 64, load.margin = spec.margin, load.beyond = spec.beyond;
  load.targets = method.targets(), load.whole_image = spec.whole_objects, load.workers = 1;
  Loader loader(examples, load, [&](const Exec& exec, View<const int32_t, 3> labels, const SampleTargets& to) {
    method.make_targets(exec, labels, to);
  });
  return loader.next().targets;
}

TrainOptions few_steps(const Method& method, int64_t steps) {
  const TrainingDefaults d = method.training_defaults();
  TrainOptions o;
  o.steps = steps, o.save_every = 1, o.validate_every = 2, o.crop = 32, o.batch = 2;
  o.rate = d.rate, o.step.adam = d.adam, o.step.accumulate = 2;
  o.augment = parse_augmentation("flip,rotate");
  return o;
}

/// The numbers of all rows of a table.
std::vector<double> numbers_of(const std::filesystem::path& csv) {
  std::string text = read_bytes(csv);
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream cells(text.substr(text.find('\n')));
  std::vector<double> numbers;
  for (std::string cell; cells >> cell;)
    numbers.push_back(std::stod(cell));
  return numbers;
}

/// The values of all maps of an image.
std::vector<std::vector<float>> predicted(const Predictor& predictor, const Tensor& image) {
  std::vector<std::vector<float>> values;
  for (const auto& [name, map] : predictor.predict({}, image, {}).tensors)
    values.push_back(map.to_host<float>({}));
  return values;
}

// Networks and settings refer to members of their method.
static_assert(!std::is_move_constructible_v<VectorFields> && !std::is_copy_constructible_v<VectorFields>);
static_assert(!std::is_move_constructible_v<UNet> && !std::is_move_constructible_v<Params>);

const char* const names[] = {"vf-h1", "vf-h2", "es", "wn", "fc", "og"};

}  // namespace

TEST_CASE("methods: the numbers of parameters equal the published ones") {
  CHECK(parameters("vf-h1", {}) == 1962851);
  CHECK(parameters("vf-h2", {}) == 2737891);
  CHECK(parameters("es", {}) == 2251979);  // without the encoder's unused output convolution
  CHECK(parameters("wn", {"channels=1"}) == 15540041);
  CHECK(parameters("wn", {"channels=3"}) == 15541193);
  CHECK(parameters("fc", {"colours=4"}) == 1941380);
  CHECK(parameters("fc", {"colours=3"}) == 1941235);
  CHECK(parameters("fc", {"colours=10"}) == 1942250);
  CHECK(parameters("og", {}) == 62293960);
}

TEST_CASE("methods: no file of a map has the name of a label image") {
  for (const MethodEntry& entry : methods())
    for (const MapSpec& map : make_method(entry.name, {})->maps())
      CHECK_MESSAGE(!map.name.ends_with("_masks"), map.name);
}

TEST_CASE("methods: the defaults of training are the published ones, but for what docs/methods.md says") {
  struct Published {
    const char* name;
    double rate;
    Schedule schedule;
    int batch, accumulate, crop;
    int64_t epochs;
    double weight_decay;
    bool epsilon_inside;  // Adam of TensorFlow 1
    const char *augment, *normalisation;
  };
  const char* const percentiles = "percentile:1,99.8";
  // vf: torchvf trains for 1,000 epochs. es: Lalit et al., with the weight decay of their code. wn and fc: their
  // authors' code for TensorFlow 1. og: the code of Yi et al.
  const Published all[] = {
      {"vf-h1", 2e-4, Schedule::constant, 2, 1, 256, 100, 0, false, "flip", percentiles},
      {"vf-h2", 2e-4, Schedule::constant, 2, 1, 256, 100, 0, false, "flip", percentiles},
      {"es", 5e-4, Schedule::polynomial, 2, 8, 256, 200, 1e-4, false, "rotate,flip", percentiles},
      {"wn", 1e-4, Schedule::step, 4, 1, 256, 500, 0, true, "flip", percentiles},
      {"fc", 1e-4, Schedule::step, 4, 1, 256, 600, 0, true, "flip", percentiles},
      {"og", 1.25e-4, Schedule::constant, 8, 1, 512, 100, 0, false, "none", "divide"},
  };
  for (const Published& want : all) {
    CAPTURE(want.name);
    const TrainingDefaults d = method_with(want.name, {})->training_defaults();
    CHECK(d.rate.rate == want.rate);
    CHECK(d.rate.schedule == want.schedule);
    CHECK(d.rate.warm_up == 0);
    CHECK(d.batch == want.batch);
    CHECK(d.accumulate == want.accumulate);
    CHECK(d.crop == want.crop);
    CHECK(d.epochs == want.epochs);
    CHECK(d.adam.beta1 == 0.9);
    CHECK(d.adam.beta2 == 0.999);
    CHECK(d.adam.epsilon == 1e-8);
    CHECK(d.adam.weight_decay == want.weight_decay);
    CHECK(d.adam.epsilon_inside == want.epsilon_inside);
    CHECK(d.augment == want.augment);
    CHECK(d.normalisation == want.normalisation);
  }
}

TEST_CASE("methods: W-Net's training target equals its oracle's distance map, also at the image border") {
  const Exec cpu;
  const std::unique_ptr<Method> method = method_with("wn", {"width=4", "channels=1"});
  const Labels truth = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, 0).labels;
  bool is_cut = false;
  for (int i = 0; i < 64; ++i)
    is_cut |= truth(0, i) > 0 || truth(63, i) > 0 || truth(i, 0) > 0 || truth(i, 63) > 0;
  REQUIRE(is_cut);
  const TargetTensors targets = targets_of(*method, truth);
  const std::vector<float> distance = targets.at("distance").to_host<float>(cpu);
  CHECK(distance == method->oracle(cpu, truth)["distance"].to_host<float>(cpu));
  CHECK(*std::max_element(distance.begin(), distance.end()) == 10);
  CHECK(targets.at("labels").to_host<int32_t>(cpu) == truth.ids);
}

TEST_CASE("methods: FCRNet's guide is a colouring of the objects, and there is none with a weight of 0") {
  const Exec cpu;
  const Labels truth = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, 0).labels;
  const std::unique_ptr<Method> method = method_with("fc", {"width=4", "radius=1"});
  const Tensor guide = targets_of(*method, truth).at("guide");
  REQUIRE(guide.shape() == Shape{1, 5, 64, 64});
  const Tensor colours = Tensor::from<float>(cpu, {5, 64, 64}, guide.to_host<float>(cpu));
  CHECK(method->decode(cpu, {{{"colours", colours}}}).labels.ids == truth.ids);
  CHECK(targets_of(*method_with("fc", {"width=4", "guide_weight=0"}), truth).count("guide") == 0);

  const std::vector<float> empty =
      targets_of(*method, compact(64, 64, std::vector<int64_t>(64 * 64))).at("guide").to_host<float>(cpu);
  CHECK(std::all_of(empty.begin(), empty.begin() + 64 * 64, [](float v) { return v == 1; }));
  CHECK(std::all_of(empty.begin() + 64 * 64, empty.end(), [](float v) { return v == 0; }));
}

TEST_CASE("methods: FCRNet's exponents are each used for a fifth of the training; by default the published ones") {
  const double alphas[][2] = {{0, 1},  {.19, 1}, {.2, 2}, {.39, 2},  {.4, 3},
                              {.6, 4}, {.79, 4}, {.8, 5}, {.999, 5}, {1, 5}};
  const std::unique_ptr<Method> method = method_with("fc", {"alphas=1,2,3,4,5"}), published = method_with("fc", {});
  CHECK(method->is_scheduled());
  for (const auto& [progress, alpha] : alphas) {
    CAPTURE(progress);
    CHECK(method->scheduled(progress) == alpha);
    CHECK(published->scheduled(progress) == std::max(2., 2 * (alpha - 1)));  // 2, 2, 4, 6, 8
  }
}

TEST_CASE("methods: dropout of W-Net and FCRNet changes with the batch, is off in inference and by default") {
  const Exec cpu;
  const Labels truth = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, 0).labels;
  const std::vector<float> pixels(truth.ids.begin(), truth.ids.end());
  for (const std::string name : {"wn", "fc"}) {
    CAPTURE(name);
    struct Outcome {
      float loss;
      std::vector<std::vector<float>> maps;
    };
    const auto with = [&](const std::string& dropout, int64_t number) {
      const std::unique_ptr<Method> method = method_with(name, {"width=4", "channels=1", dropout});
      method->params().allocate(cpu);
      method->params().init(cpu, 1);
      Batch batch{targets_of(*method, truth)};
      batch.tensors["image"] = Tensor::from<float>(cpu, {1, 1, 64, 64}, pixels);
      const StepState state{.batch = number, .scheduled = 2};
      Tape tape(cpu);
      const float loss = method->loss(tape, batch, &state).total.value.to_host<float>(cpu)[0];
      return Outcome{loss, predicted(*method->predictor(cpu), Tensor::from<float>(cpu, {1, 64, 64}, pixels))};
    };
    const Outcome none = with("seed=0", 0);
    CHECK(with("seed=0", 1).loss == none.loss);
    for (const std::string where : {"block_dropout=0.5", "head_dropout=0.5"}) {
      CAPTURE(where);
      const Outcome some = with(where, 0);
      CHECK(some.loss != none.loss);
      CHECK(with(where, 1).loss != some.loss);
      CHECK(with(where, 0).loss == some.loss);
      CHECK(some.maps == none.maps);
    }
  }
}

TEST_CASE("methods: an FCRNet predicts with the exponent that its training ends with") {
  const auto colours = [](const std::string& alphas) {
    const std::unique_ptr<Method> method = method_with("fc", {"width=4", "channels=1", alphas});
    method->params().allocate({});
    method->params().init({}, 1);
    return predicted(*method->predictor({}), Tensor::from<float>({}, {1, 32, 32}, uniform<float>(1024, 0, 1, 5)))[0];
  };
  const std::vector<float> four = colours("alphas=2,2,2,4,4");
  CHECK(four == colours("alphas=4,4,4,4,4"));
  CHECK(four != colours("alphas=2,2,4,6,8"));
}

TEST_CASE("methods: a crop with more objects than a loss has room for is refused, with the image and the setting") {
  const Labels truth = make_synthetic({.kind = SynthKind::nuclei, .size = 64, .seed = 8}, 0).labels;
  for (const std::string name : {"es", "wn", "fc"}) {
    CAPTURE(name);
    const auto capacity = [&](int objects) { return "capacity=" + std::to_string(objects); };
    CHECK_NOTHROW(targets_of(*method_with(name, {"width=4", "channels=1", capacity(truth.count)}), truth));
    const std::string text = refusal([&] {
      targets_of(*method_with(name, {"width=4", "channels=1", capacity(truth.count - 1)}), truth);
    });
    CHECK_MESSAGE(contains(text, "image: a crop of this image has " + std::to_string(truth.count) + " objects"), text);
    CHECK(contains(text, "mirrored copies included") == method_with(name, {})->object_limits().counts_mirrored);
    CHECK(contains(text, capacity_advice(truth.count)));
  }
}

TEST_CASE("methods: the field of an object is 0 beyond the reach that vector fields declare, and nearly reaches it") {
  Labels square{128, 128, 1, std::vector<int32_t>(128 * 128, 0)};
  for (int y = 4; y < 124; ++y)
    for (int x = 4; x < 124; ++x)
      square.ids[size_t(y * 128 + x)] = 1;
  const auto depth_of = [](int x) { return std::min(x - 3, 124 - x); };  // px from the nearest background pixel
  for (const std::string field : {"sdf", "affinity", "omnipose", "centroid"}) {
    CAPTURE(field);
    const std::unique_ptr<Method> method = method_with("vf-h1", {"width=4", "channels=1", "field=" + field});
    const Maps maps = method->oracle({}, square);
    const View<const float, 3> vectors = maps["field"].view<const float, 3>();
    int deepest = 0;
    for (int y = 4; y < 124; ++y)
      for (int x = 4; x < 124; ++x)
        if (vectors(0, y, x) != 0 || vectors(1, y, x) != 0)
          deepest = std::max(deepest, std::min(depth_of(x), depth_of(y)));
    const ObjectLimits limits = method->object_limits();
    if (limits.reach == 0) {
      CHECK(deepest == 60);
    } else {
      CHECK(deepest <= limits.reach);
      CHECK(deepest >= limits.reach - 1);
      CHECK(method->settings().has(limits.reach_setting));
    }
  }
}

TEST_CASE("methods: settings that a network or a kernel cannot use are refused by name") {
  const std::pair<std::pair<const char*, const char*>, const char*> bad[] = {
      {{"es", "width=3"}, "--width 3: es needs more channels in its first stage than the 3 of the images"},
      {{"og", "crop=100"}, "--set crop=100: expected a multiple of 32"},
      {{"fc", "alphas=2,2,0,4,4"}, "--set alphas: an exponent of 0"},
      {{"fc", "connectivity=6"}, "connectivity=6: expected 4 or 8"},
      {{"wn", "sigma=17"}, "sigma=17: expected 0 to 16"},
      {{"wn", "embedding_radius=17"}, "embedding_radius=17: expected 0 to 16"}};
  for (const auto& [given, why] : bad) {
    const std::string text = refusal([&] { method_with(given.first, {given.second, "channels=3"}); });
    CHECK_MESSAGE(contains(text, why), text);
  }
}

TEST_CASE("methods: an FCRNet from before the guide loads, and is trained without one") {
  Json config = method_with("fc", {"width=4"})->config();
  REQUIRE(config.erase("guide_weight") == 1);
  const std::unique_ptr<Method> method = make_method(config);
  CHECK(method->config().at("guide_weight") == 0);
  CHECK(method->targets().maps.size() == 1);
}

TEST_CASE("methods: every method's stopped and resumed run ends with the same bytes as an uninterrupted one") {
  const Exec cpu;
  const std::vector<Example> examples = nuclei(4), held(examples.begin(), examples.begin() + 1);
  for (const std::string name : names) {
    CAPTURE(name);
    const Folder whole, parts;
    const auto run = [&](const Folder& folder, int64_t stop, bool resume) {
      const std::unique_ptr<Method> method = method_with(name, {"width=4", "channels=1"});
      method->params().allocate(cpu);
      TrainOptions o = few_steps(*method, 3);
      if (stop < 3) o.stop_after = stop;
      train(cpu, *method, examples, held, o, {folder.path()}, resume);
    };
    run(whole, 3, false);
    run(parts, 1, false);
    run(parts, 3, true);
    for (const char* file : {"last.safetensors", "last.state.safetensors", "metrics.csv"})
      CHECK_MESSAGE(read_bytes(whole / file) == read_bytes(parts / file), file);
  }
}

TEST_CASE(
    "methods: every method trains on and segments images with no object, one object or single-pixel objects, "
    "and small and narrow images") {
  const Exec cpu;
  const auto labels_of = [](int height, int width, int every) {  // every `every`-th pixel is an object
    std::vector<int64_t> ids(size_t(height) * size_t(width));
    int64_t next = 0;
    for (size_t i = 0; every > 0 && i < ids.size(); i += size_t(every))
      ids[i] = ++next;
    return compact(height, width, ids);
  };
  Labels one{40, 40, 1, std::vector<int32_t>(1600)};
  for (int y = 10; y < 30; ++y)
    std::fill_n(one.ids.begin() + y * 40 + 8, 20, 1);
  const std::vector<Example> awkward{example("none", labels_of(40, 48, 0)), example("one", one),
                                     example("pixels", labels_of(33, 47, 5)), example("small", labels_of(9, 14, 11)),
                                     example("narrow", labels_of(3, 100, 30))};
  for (const std::string name : names) {
    CAPTURE(name);
    const Folder folder;
    const std::unique_ptr<Method> method = method_with(name, {"width=4", "channels=1"});
    method->params().allocate(cpu);
    train(cpu, *method, awkward, {}, few_steps(*method, 4), {folder.path()}, false);
    const std::vector<double> metrics = numbers_of(folder / "metrics.csv");
    CHECK(metrics.size() > 4 * 4);  // step, epoch, rate and losses after each step
    CHECK(std::all_of(metrics.begin(), metrics.end(), [](double v) { return std::isfinite(v); }));
    const Model model = load_model(folder / "last.safetensors", cpu);
    size_t scores = 0;
    for (const Example& e : awkward) {
      CAPTURE(e.stem);
      // The second network is a perfect one: the first may find nothing.
      for (const Instances& found : {segment_source(cpu, *model.method, *model.predictor, e.source, {}).instances,
                                     method->decode(cpu, method->oracle(cpu, true_labels(e)))}) {
        const auto [least, most] = std::minmax_element(found.labels.ids.begin(), found.labels.ids.end());
        CHECK(found.labels.height == e.source.height());
        CHECK(found.labels.width == e.source.width());
        CHECK(int(found.labels.ids.size()) == found.labels.height * found.labels.width);
        CHECK(*least >= 0);
        CHECK(*most <= found.labels.count);
        CHECK(int(found.scores.size()) == (method->gives_scores() ? found.labels.count : 0));
        scores += found.scores.size();
      }
    }
    CHECK((scores > 0) == method->gives_scores());
  }
}

TEST_CASE("methods: threads with one predictor or with several predict what one thread predicts") {
  const Exec cpu;
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  for (const std::string name : names) {
    CAPTURE(name);
    std::vector<std::unique_ptr<Predictor>> predictors;
    std::vector<Tensor> images;
    for (unsigned k = 0; k < 2; ++k) {
      const std::unique_ptr<Method> method = method_with(name, {"width=4", "channels=1"});
      method->params().allocate(cpu);
      method->init(cpu, k);
      predictors.push_back(method->predictor(cpu));
      images.push_back(Tensor::from(cpu, {1, 32, 48}, uniform<float>(32 * 48, -1, 1, k)));
    }
    for (const bool shared : {true, false}) {
      CAPTURE(shared);
      const auto predict = [&](size_t k) { return predicted(*predictors[shared ? 0 : k], images[k]); };
      const std::vector<std::vector<float>> want[] = {predict(0), predict(1)};
      std::vector<std::future<int>> wrong;
      for (size_t k = 0; k < 2; ++k)
        wrong.push_back(std::async(std::launch::async, [&, k] {
          omp_set_num_threads(1);
          int count = 0;
          for (int i = 0; i < 6; ++i)
            count += predict(k) != want[k];
          return count;
        }));
      for (std::future<int>& count : wrong)
        CHECK(count.get() == 0);
    }
  }
  omp_set_num_threads(before);
}

#include <algorithm>
#include <cmath>
#include <set>

#include "data/metrics/metrics.h"
#include "engine/json.h"
#include "engine/ops/loss.h"
#include "engine/safetensors.h"
#include "models/inference/model_file.h"
#include "models/inference/segmenter.h"
#include "models/inference/views.h"
#include "models/methods/object_guided.h"
#include "models/networks/og_detector.h"
#include "models/training/stepper.h"
#include "tests/support/field_support.h"
#include "tests/support/file_support.h"
#include "tests/support/gpu_support.h"
#include "tests/support/method_support.h"
#include "tests/support/model_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

ObjectGuidedOptions small(int width, int crop) {
  ObjectGuidedOptions o;
  o.channels = 1, o.width = width, o.crop = crop;
  return o;
}

/// An image of bright objects, with some texture.
std::vector<float> pixels_of(const Labels& truth) {
  std::vector<float> pixels;
  for (size_t i = 0; i < truth.ids.size(); ++i)
    pixels.push_back((truth.ids[i] ? .8f : .1f) + float(i * 7 % 13) / 100);
  return pixels;
}

Labels decoded_oracle(const ObjectGuidedOptions& options, const Labels& truth) {
  const ObjectGuided method(options);
  const Exec cpu;
  const Instances found = method.decode(cpu, method.oracle(cpu, truth));
  CHECK(int(found.scores.size()) == found.labels.count);
  for (const float score : found.scores)
    CHECK(score > .99f);
  return found.labels;
}

}  // namespace

TEST_CASE("object-guided: boxes of any size cover an image at most eight times, and many of them are remarked on") {
  const Exec cpu;
  ObjectGuided method(small(2, 64));
  method.params().allocate(cpu);
  method.params().init(cpu, 1);
  const auto boxes_of_width = [&](float width) {
    for (const Params::Named& n : method.params().learnt())
      if (n.name == "wh.2.bias" || n.name == "hm.2.bias") {
        const std::vector<float> bias(size_t(n.shape.size()), n.name == "wh.2.bias" ? width / 4 : 3);
        method.params().value_slice(n).copy_from_host(cpu, bias.data());
      }
    const std::vector<float> pixels = uniform<float>(64 * 64, 0, 1, 1);
    return method.predictor(cpu)->predict(cpu, Tensor::from(cpu, {1, 64, 64}, pixels), {});
  };
  const Maps wide = boxes_of_width(50), far = boxes_of_width(1e6f);
  CHECK(far["boxes"].dim(1) == 0);
  CHECK(method.decode(cpu, far).labels.count == 0);
  const std::vector<float> table = wide["boxes"].to_host<float>(cpu);
  int64_t kept = 0, left_out = 0;
  for (size_t k = 0; k < table.size(); k += 5)
    ++(table[k + 4] > 0 ? kept : left_out);
  CHECK(kept == int64_t(8 * 64 * 64 / (50 * 50)));
  REQUIRE(left_out > 0);
  const Instances found = method.decode(cpu, wide);
  REQUIRE(found.remarks.size() == 2);
  CHECK(found.remarks[0] ==
        "objects left out because the boxes of all objects overlap too much: " + std::to_string(left_out));
  CHECK(contains(found.remarks[1], "cover the image many times"));
  // Boxes that the confidence excludes are not counted.
  method.settings().set(parse_assignment("confidence=1"), {Setting::Use::decoding});
  CHECK(method.decode(cpu, wide).remarks.empty());
}

TEST_CASE("object-guided: it is remarked on if an image is shrunk so much that small objects are lost") {
  const ObjectGuided method(small(1, 64));
  const auto remarks_on = [&](int height, int width) {
    return method.decode({}, method.oracle({}, {height, width, 0, std::vector<int32_t>(size_t(height * width))}))
        .remarks;
  };
  CHECK(remarks_on(128, 100).empty());
  REQUIRE(remarks_on(100, 130).size() == 1);
  CHECK(remarks_on(100, 130)[0] ==
        "it is shrunk from 130 x 100 to 64 x 64 pixels, so that small objects are lost; cut it into smaller images, or "
        "give --set resize=false");
}

TEST_CASE("object-guided: it is remarked on if an image has more boxes than are kept") {
  Labels many{160, 160, 0, std::vector<int32_t>(160 * 160, 0)};
  for (int y = 2; y < 156; y += 6)
    for (int x = 2; x < 156; x += 6) {
      ++many.count;
      for (int v = y; v < y + 4; ++v)
        for (int u = x; u < x + 4; ++u)
          many.ids[size_t(v * 160 + u)] = many.count;
    }
  REQUIRE(many.count > 500);
  ObjectGuidedOptions options = small(1, 160);
  options.resize = false;
  const ObjectGuided method(options);
  const Instances found = method.decode({}, method.oracle({}, many));
  REQUIRE(found.remarks.size() == 1);
  CHECK(contains(found.remarks[0], "only the 500 boxes with the highest scores are kept (max_objects)"));

  Labels few{160, 160, 9, std::vector<int32_t>(160 * 160, 0)};
  for (int y = 0; y < 150; ++y)
    for (int x = 0; x < 150; ++x)
      if (y % 50 < 30 && x % 50 < 30) few.ids[size_t(y * 160 + x)] = y / 50 * 3 + x / 50 + 1;
  for (const int kept : {8, 9}) {
    options.decoding.max_objects = kept;
    const ObjectGuided limited(options);
    const Instances some = limited.decode({}, limited.oracle({}, few));
    CHECK(some.labels.count == kept);
    CHECK(some.remarks.size() == (kept < 9 ? 1 : 0));
  }
}

TEST_CASE("object-guided: the maps of a perfect network give back the labels, resized or not") {
  const Labels truth = guided_objects(labels_of(ellipses(90, 120, 14, 14, 3))).pieces;
  CHECK(truth.count > 8);
  ObjectGuidedOptions native = small(1, 256);
  native.resize = false;
  ObjectGuidedOptions with_bars = small(1, 256);
  with_bars.letterbox = true;
  for (const ObjectGuidedOptions& options : {small(1, 256), native, with_bars}) {
    const Labels got = decoded_oracle(options, truth);
    CHECK(*average_precision(score(truth, got), .75, Dialect::stardist) == 1);
  }
  const Labels empty{4, 5, 0, std::vector<int32_t>(20, 0)};
  CHECK(decoded_oracle(small(1, 64), empty).count == 0);
  // Two objects whose centres share a cell of the heat map: one of them is lost.
  const Labels rings = labels_of(grid({"1111111111", "1222222221", "1222222221", "1222222221", "1222222221",
                                       "1222222221", "1222222221", "1222222221", "1222222221", "1111111111"}));
  CHECK(decoded_oracle(small(1, 32), rings).count == 1);
}

TEST_CASE("object-guided: targets are the boxes of objects' largest pieces, at most 500") {
  const Exec cpu;
  const ObjectGuided method(small(1, 32));
  const Labels two = labels_of(grid({"1111.2222.11", "1111.2222.11", "1111.2222...", "1111.2222...", ".....2222..."}));
  const Batch batch = batch_of(cpu, method, two, std::vector<float>(60));
  CHECK(batch["boxes_count"].to_host<int32_t>(cpu) == std::vector<int32_t>{2});
  const std::vector<float> boxes = batch["boxes"].to_host<float>(cpu);
  CHECK(std::vector<float>(boxes.begin(), boxes.begin() + 12) ==
        std::vector<float>{1.5f, 1.5f, 4, 4, 6.5f, 2, 4, 5, 0, 0, 0, 0});
  const std::vector<int32_t> pieces = batch["pieces"].to_host<int32_t>(cpu);
  CHECK(pieces[0] == 1);
  CHECK(pieces[5] == 2);
  CHECK(pieces[10] == 0);
  Labels many{130, 130, 0, std::vector<int32_t>(130 * 130, 0)};  // 26 x 26 squares with sides of 4 px
  for (int y = 0; y < 130; ++y)
    for (int x = 0; x < 130; ++x)
      if (y % 5 < 4 && x % 5 < 4) many.ids[size_t(y * 130 + x)] = 1 + y / 5 * 26 + x / 5;
  many.count = 26 * 26;
  CHECK(batch_of(cpu, method, many, std::vector<float>(130 * 130))["boxes_count"].to_host<int32_t>(cpu)[0] == 500);
}

TEST_CASE("object-guided: tensors have the public code's names and shapes, and a converted checkpoint loads") {
  const ObjectGuided published{ObjectGuidedOptions()};
  std::set<std::string> names;
  for (const Params::Named& n : published.params().learnt())
    names.insert(n.name);
  CHECK(names.size() == published.params().learnt().size());
  for (const char* name :
       {"base_network.conv1.weight", "base_network.bn1.bias", "base_network.layer1.0.downsample.0.weight",
        "base_network.layer3.5.conv2.weight", "base_network.layer4.2.bn3.weight", "dec_c2.up.0.bias",
        "dec_c4.up.1.weight", "dec_c3.cat_conv.0.weight", "dec_c3.cat_conv.1.bias", "c0_conv.2.bias",
        "seg_combine.0.up.0.weight", "seg_combine.3.cat_conv.0.bias", "seg_head.2.weight", "hm.2.bias", "wh.0.weight",
        "reg.2.weight", "point_head0.0.bias"})
    CHECK_MESSAGE(names.count(name), name);
  for (const Params::Named& n : published.params().learnt())
    if (n.name == "point_head1.0.weight") CHECK(n.shape == Shape({1, 128, 1}));
  CHECK(published.params().statistics().size() == 2 * (53 + 6));
  CHECK_FALSE(can_average_views(published));

  const Exec cpu;
  ObjectGuided trained(small(4, 64));
  trained.params().allocate(cpu);
  trained.init(cpu, 3);
  SafeTensors checkpoint;
  add_parameters(checkpoint, cpu, trained.params());
  const float batches = 7;
  checkpoint.add("base_network.bn1.num_batches_tracked", {1}, &batches);
  const Folder folder;
  const std::vector<std::byte> bytes = encode_safetensors(checkpoint);
  write_bytes(folder / "public.safetensors", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const Model model = load_model(folder / "public.safetensors", cpu);
  CHECK(model.method->name() == "og");
  CHECK(model.method->config()["width"] == 4);
  CHECK(model.method->config()["channels"] == 1);
  CHECK(model.method->params().values().to_host<float>(cpu) == trained.params().values().to_host<float>(cpu));
}

TEST_CASE("object-guided: gradients of the mask branch match finite differences in double") {
  const Exec cpu;
  Params params(DType::f64);
  const OgMasks masks(params, {.in_channels = 1, .width = 1});
  params.allocate(cpu);
  params.init(cpu, 5);
  // Regions with five, two and one pyramid levels.
  const OgRegions regions =
      og_regions(cpu, {{0, 4, 9, 3.5, 12}, {1, 16, 16, 32, 31}, {0, 20, 10, 6, 7}, {0, 9, 9, 1, 20}}, 5);
  CHECK(regions.source == std::vector<int>{1, 2, 0});  // the last region is too thin
  REQUIRE(regions.levels.size() == 5);
  CHECK(regions.levels[1].count() == 2);
  std::vector<Shape> shapes;
  std::vector<std::vector<double>> at;
  for (int l = 0; l < 5; ++l) {
    const int channels = l < 2 ? 1 : 1 << l, side = 32 >> l;
    shapes.push_back({2, channels, side, side});
    at.push_back(uniform<double>(size_t(shapes.back().size()), -1, 1, unsigned(l + 1)));
  }
  const RoiPlaces places = uncertain_points(
      cpu, Tensor::from(cpu, {regions.levels[0].points}, uniform<double>(size_t(regions.levels[0].points), -1, 1, 9)),
      regions.levels[0], 1, 2);
  const auto loss = [&](Tape& tape, const std::vector<Var>& pyramid) {
    const OgMasks::Features f = masks.forward(tape, pyramid, regions);
    const auto bce = [&](const Var& logits, const Tensor& before) {
      const std::vector<double> truth = uniform<double>(size_t(logits.value.shape().size()), 0, 1, 11);
      return segment_bce_loss(tape, logits, Tensor::from(cpu, {int64_t(truth.size())}, truth), before, 3);
    };
    std::vector<WeightedVar> terms{{bce(f.logits, regions.levels[0].before)}};
    const std::vector<OgMasks::PointLogits> refined = masks.refine(tape, f, regions, places);
    CHECK(refined.size() == 2);
    CHECK(refined[1].places.count < refined[0].places.count);
    for (const OgMasks::PointLogits& p : refined)
      terms.push_back({bce(p.value, p.places.before), 2});
    return weighted_sum(tape, terms);
  };
  // Along a random direction of the maps and of the parameters.
  const std::vector<double> values = params.values().to_host<double>(cpu);
  const std::vector<double> turn = uniform<double>(values.size(), -1, 1, 21);
  const auto run = [&](double step, bool with_gradients) {
    std::vector<double> moved = values;
    for (size_t i = 0; i < moved.size(); ++i)
      moved[i] += step * turn[i];
    params.values().copy_from_host(cpu, moved.data());
    params.gradients().zero(cpu);
    Tape tape(cpu);
    std::vector<Var> pyramid;
    double slope = 0;
    for (size_t l = 0; l < 5; ++l) {
      std::vector<double> maps = at[l];
      const std::vector<double> d = uniform<double>(maps.size(), -1, 1, unsigned(30 + l));
      for (size_t i = 0; i < maps.size(); ++i)
        maps[i] += step * d[i];
      pyramid.push_back(tape.leaf(Tensor::from(cpu, shapes[l], maps)));
    }
    const Var out = loss(tape, pyramid);
    if (!with_gradients) return out.value.to_host<double>(cpu)[0];
    tape.backward(out, Tensor::from<double>(cpu, {1}, {1}));
    const std::vector<double> gradients = params.gradients().to_host<double>(cpu);
    for (size_t i = 0; i < gradients.size(); ++i)
      slope += gradients[i] * turn[i];
    for (size_t l = 0; l < 5; ++l) {
      const std::vector<double> g = tape.grad(pyramid[l]).to_host<double>(cpu);
      const std::vector<double> d = uniform<double>(g.size(), -1, 1, unsigned(30 + l));
      for (size_t i = 0; i < g.size(); ++i)
        slope += g[i] * d[i];
    }
    return slope;
  };
  const double analytic = run(0, true), step = 1e-7;
  CHECK(std::abs(analytic) > .01);
  CHECK((run(step, false) - run(-step, false)) / (2 * step) == doctest::Approx(analytic).epsilon(1e-5));
}

TEST_CASE("object-guided: training on one image lowers the loss, and its objects are found") {
  const Labels truth = labels_of(grid([] {
    std::vector<std::string> rows(64, std::string(64, '.'));
    const int centres[][3] = {{14, 15, 9}, {14, 44, 11}, {44, 14, 11}, {46, 46, 12}, {31, 30, 6}};
    for (int k = 0; k < 5; ++k)
      for (int y = 0; y < 64; ++y)
        for (int x = 0; x < 64; ++x)
          if (std::hypot(y - centres[k][0], x - centres[k][1]) < centres[k][2])
            rows[size_t(y)][size_t(x)] = char('1' + k);
    return rows;
  }()));
  REQUIRE(truth.count == 5);
  const std::vector<float> pixels = pixels_of(truth);
  std::vector<double> cpu_losses;
  for (const Exec& exec : execs()) {
    if (is_emulated() && exec.device == Device::cuda) {
      MESSAGE("not run on the emulated device, where it takes minutes");
      continue;
    }
    ObjectGuided method(small(8, 64));
    method.params().allocate(exec);
    method.init(exec, 1);
    const Batch batch = batch_of(exec, method, truth, pixels);
    Stepper stepper(exec, method);
    std::vector<double> losses;
    for (int step = 0; step < 100; ++step) {
      stepper.step(batch, step, step < 60 ? 3e-3 : 1e-3);
      losses.push_back(stepper.take_sums().back());
    }
    CHECK(stepper.first_bad() == -1);
    CHECK(stepper.names() == std::vector<std::string>{"heat", "size", "offset", "mask", "points", "loss"});
    if (exec.device == Device::cpu) cpu_losses = losses;
    for (size_t step = 0; step < 3; ++step)
      CHECK(losses[step] == doctest::Approx(cpu_losses[step]).epsilon(1e-3));
    CHECK(losses.back() < losses.front() / 5);
    const Tensor image = Tensor::from(exec, {1, 64, 64}, pixels);
    const Instances found = method.decode(exec, method.predictor(exec)->predict(exec, image, {}));
    CHECK(*average_precision(score(truth, found.labels), .75, Dialect::stardist) == 1);
    REQUIRE(found.scores.size() == 5);
    CHECK(std::is_sorted(found.scores.rbegin(), found.scores.rend()));
    CHECK(found.scores.back() > .3f);
    // A stricter decoding of the same maps keeps fewer objects, those with the highest scores.
    const Maps maps = method.predictor(exec)->predict(exec, image, {});
    method.settings().set({"max_objects", "2", "test"}, {Setting::Use::decoding});
    const Instances two = method.decode(exec, maps);
    CHECK(two.scores == std::vector<float>(found.scores.begin(), found.scores.begin() + 2));
  }
}

TEST_CASE("object-guided: losses and maps are the same on every device") {
  const Labels truth = labels_of(ellipses(32, 64, 3, 12, 5));
  const std::vector<float> pixels = pixels_of(truth);
  std::vector<double> first_losses;
  std::vector<float> first_heat;
  for (const Exec& exec : execs()) {
    ObjectGuided method(small(1, 32));
    method.params().allocate(exec);
    method.init(exec, 1);
    const std::unique_ptr<Predictor> predictor = method.predictor(exec);
    const Maps maps = predictor->predict(exec, Tensor::from(exec, {1, 32, 64}, pixels), {});
    const std::vector<float> heat = maps["heat"].to_host<float>(exec);
    Stepper stepper(exec, method);
    stepper.step(batch_of(exec, method, truth, pixels), 0, 1e-3);
    const std::vector<double> losses = stepper.take_sums();
    for (const double loss : losses)
      CHECK(loss > 0);
    if (first_losses.empty()) first_losses = losses, first_heat = heat;
    check_close(losses, first_losses, 1e-3, 0);
    check_close(heat, first_heat, 1e-3, 1e-4);
  }
}

TEST_CASE("object-guided: letterbox keeps the aspect ratio of an image, between bars of zeros") {
  const Exec cpu;
  ObjectGuided method(small(1, 64));
  method.params().allocate(cpu);
  method.init(cpu, 1);
  const auto maps_of_image = [&](const char* letterbox, int height, const std::vector<float>& pixels) {
    method.settings().set({"letterbox", letterbox, "test"}, {Setting::Use::decoding});
    Maps maps = method.predictor(cpu)->predict(cpu, Tensor::from(cpu, {1, height, 64}, pixels), {});
    return std::pair(maps["heat"].to_host<float>(cpu), maps["boxes"].to_host<float>(cpu));
  };
  const std::vector<float> wide = uniform<float>(31 * 64, 0, 1, 4);
  std::vector<float> square(64 * 64, 0.f);
  std::copy(wide.begin(), wide.end(), square.begin() + 16 * 64);  // of 33 rows of bars, 16 lie above the image
  CHECK(maps_of_image("true", 31, wide) == maps_of_image("false", 64, square));
  CHECK(maps_of_image("true", 31, wide) != maps_of_image("false", 31, wide));

  // Boxes of a round object are square in the frame.
  method.settings().set({"letterbox", "true", "test"}, {Setting::Use::decoding});
  Labels disc{40, 120, 1, std::vector<int32_t>(40 * 120, 0)};
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 120; ++x)
      if ((y - 20) * (y - 20) + (x - 90) * (x - 90) <= 225) disc.ids[size_t(y * 120 + x)] = 1;
  const std::vector<float> box = method.oracle(cpu, disc)["boxes"].to_host<float>(cpu);
  REQUIRE(box.size() == 5);
  CHECK(box[2] == doctest::Approx(box[3]).epsilon(.07));
  CHECK(box[1] == doctest::Approx(32).epsilon(.02));
  CHECK(box[0] == doctest::Approx(90 * 64 / 120.).epsilon(.02));

  method.settings().set({"resize", "false", "test"}, {Setting::Use::decoding});
  CHECK_THROWS_WITH_AS(method.check_settings(), doctest::Contains("letterbox=true"), Error);
}

TEST_CASE("object-guided: the loss is the sum of its weighted terms, by default with the published weights") {
  const Labels truth = labels_of(ellipses(32, 64, 3, 12, 5));
  const std::pair<std::vector<std::string>, std::vector<double>> cases[] = {
      {{}, {1, .1, 1, 2, 1}},  // of the public code
      {{"size_weight=3", "offset_weight=5", "mask_weight=7", "point_weight=11"}, {1, 3, 5, 7, 11}}};
  for (const Exec& exec : execs())
    for (const auto& [given, weights] : cases) {
      std::vector<std::string> settings{"channels=1", "width=1", "crop=32"};
      settings.insert(settings.end(), given.begin(), given.end());
      const std::unique_ptr<Method> method = method_with("og", settings);
      method->params().allocate(exec);
      method->init(exec, 1);
      Stepper stepper(exec, *method);
      stepper.step(batch_of(exec, *method, truth, pixels_of(truth)), 0, 1e-3);
      REQUIRE(stepper.names() == std::vector<std::string>{"heat", "size", "offset", "mask", "points", "loss"});
      const std::vector<double> losses = stepper.take_sums();
      double total = 0;
      for (size_t k = 0; k < 5; ++k) {
        CHECK(losses[k] > 0.01);
        total += weights[k] * losses[k];
      }
      CHECK(losses[5] == doctest::Approx(total).epsilon(1e-6));
    }
}

TEST_CASE("object-guided: a fresh network gives centres a probability of 0.1, and sizes and offsets no bias") {
  const Exec cpu;
  ObjectGuided method(small(2, 32));
  method.params().allocate(cpu);
  method.init(cpu, 1);
  std::set<std::string> found;
  for (const Params::Named& n : method.params().learnt()) {
    const bool is_centre = n.name == "hm.2.bias", is_zero = n.name.starts_with("wh.") || n.name.starts_with("reg.");
    if (!is_centre && (!is_zero || !n.name.ends_with(".bias"))) continue;
    const std::vector<float> bias = method.params().value_slice(n).to_host<float>(cpu);
    CHECK_MESSAGE(bias == std::vector<float>(bias.size(), is_centre ? -2.19f : 0.f), n.name);
    found.insert(n.name);
  }
  CHECK(found == std::set<std::string>{"hm.2.bias", "reg.0.bias", "reg.2.bias", "wh.0.bias", "wh.2.bias"});
}

TEST_CASE("object-guided: a predictor obeys later changes of the resize setting") {
  const Exec cpu;
  ObjectGuided method(small(1, 64));
  method.params().allocate(cpu);
  method.init(cpu, 1);
  const std::unique_ptr<Predictor> predictor = method.predictor(cpu);
  const Tensor image = Tensor::zeros(cpu, {1, 20, 40});
  CHECK(predictor->predict(cpu, image, {})["heat"].shape() == Shape({1, 16, 16}));
  method.settings().set({"resize", "false", "test"}, {Setting::Use::decoding});
  CHECK(predictor->predict(cpu, image, {})["heat"].shape() == Shape({1, 8, 16}));
}

TEST_CASE("object-guided: images without objects have only the loss of the centre map") {
  const Labels none{32, 64, 0, std::vector<int32_t>(32 * 64, 0)};
  for (const Exec& exec : execs()) {
    ObjectGuided method(small(1, 32));
    method.params().allocate(exec);
    method.init(exec, 1);
    Stepper stepper(exec, method);
    stepper.step(batch_of(exec, method, none, std::vector<float>(32 * 64, .5f)), 0, 1e-3);
    const std::vector<double> sums = stepper.take_sums();
    CHECK(sums[0] > 0);
    CHECK(sums[5] == doctest::Approx(sums[0]));
    CHECK(stepper.first_bad() == -1);
  }
}

TEST_CASE("object-guided: folding the batch norms into the convolutions changes the maps only by rounding") {
  for (const Exec& exec : execs()) {
    Params params;
    OgDetector net(params, {.in_channels = 1, .width = 8});
    params.allocate(exec);
    params.init(exec, 1);
    randomise_norms(exec, params);
    const Tensor x = Tensor::from(exec, {2, 1, 64, 96}, uniform<float>(2 * 64 * 96, 0, 1, 99));
    const auto maps = [&] {
      Tape tape(exec, Tape::Mode::evaluate);
      const OgDetector::Result found = net.forward(tape, {x});
      std::vector<std::vector<float>> all;
      for (const Var& v : {found.heat, found.size, found.offset})
        all.push_back(v.value.to_host<float>(exec));
      for (const Var& level : found.pyramid)
        all.push_back(to_layout(exec, level.value, Layout::nchw).to_host<float>(exec));
      return all;
    };
    const std::vector<std::vector<float>> before = maps();
    net.fold_norms(exec);
    const std::vector<std::vector<float>> after = maps();
    for (size_t k = 0; k < before.size(); ++k) {
      CAPTURE(k);
      check_same_maps(after[k], before[k], 2e-5);
    }
  }
}

#include <cmath>

#include "data/metrics/truth_score.h"
#include "engine/json.h"
#include "models/methods/vector_fields.h"
#include "tests/support/command_support.h"
#include "tests/support/file_support.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// A small batch with random fields, about a third of whose pixels do not count.
struct Case {
  int n = 2, h = 5, w = 7;
  std::vector<double> logit, field, target, mask, counted;

  Case() {
    const size_t pixels = size_t(n * h * w);
    logit = uniform<double>(pixels, -3, 3, 1), field = uniform<double>(2 * pixels, -2, 2, 2);
    target = uniform<double>(2 * pixels, -2, 2, 3);
    mask = uniform<double>(pixels, 0, 1, 4), counted = uniform<double>(pixels, 0, 1, 5);
    for (size_t i = 0; i < pixels; ++i)
      counted[i] = counted[i] > 0.3, mask[i] = mask[i] > 0.5 && counted[i] != 0;
    for (size_t i = 0; i < 2 * pixels; ++i)
      if (!counts(i)) target[i] = 0;
  }
  /// Whether element i of a field counts.
  bool counts(size_t i) const {
    const size_t size = size_t(h * w);
    return counted[i / (2 * size) * size + i % size] != 0;
  }
  Batch batch(const Exec& exec) const {
    return {{{"target", Tensor::from(exec, {n, 2, h, w}, target)},
             {"mask", Tensor::from(exec, {n, 1, h, w}, mask)},
             {"counted", Tensor::from(exec, {n, 1, h, w}, counted)}}};
  }
};

/// The losses IVP, MSE and Tversky from their formulas, over the counted pixels. Fields are 0 at the others.
std::vector<double> plain_losses(const Case& c, const kernels::IvpOptions& o) {
  std::vector<double> predicted = c.field;
  for (size_t i = 0; i < predicted.size(); ++i)
    if (!c.counts(i)) predicted[i] = 0;
  const auto at = [&](const std::vector<double>& field, int n, int channel, double y, double x) {
    y = std::clamp(y, 0., c.h - 1.), x = std::clamp(x, 0., c.w - 1.);
    double sum = 0;
    for (int v = 0; v < c.h; ++v)
      for (int u = 0; u < c.w; ++u)
        sum += std::max(0., 1 - std::abs(y - v)) * std::max(0., 1 - std::abs(x - u)) *
               field[size_t(((n * 2 + channel) * c.h + v) * c.w + u)];
    return sum;
  };
  double ivp = 0, mse = 0, counted = 0, both = 0, p_sum = 0, y_sum = 0;
  for (int n = 0; n < c.n; ++n)
    for (int y = 0; y < c.h; ++y)
      for (int x = 0; x < c.w; ++x) {
        const size_t i = size_t((n * c.h + y) * c.w + x);
        if (c.counted[i] == 0) continue;
        ++counted;
        const double p = 1 / (1 + std::exp(-c.logit[i]));
        both += p * c.mask[i], p_sum += p, y_sum += c.mask[i];
        for (int channel = 0; channel < 2; ++channel) {
          const size_t k = size_t(((n * 2 + channel) * c.h + y) * c.w + x);
          mse += std::pow(c.field[k] - c.target[k], 2);
        }
        double px = x, py = y, qx = x, qy = y;
        for (int step = 0; step < o.steps; ++step) {
          const double fx = at(predicted, n, 0, py, px), fy = at(predicted, n, 1, py, px);
          const double gx = at(c.target, n, 0, qy, qx), gy = at(c.target, n, 1, qy, qx);
          px += o.step * fx, py += o.step * fy, qx += o.step * gx, qy += o.step * gy;
          ivp += std::pow(px - qx, 2) + std::pow(py - qy, 2);
        }
      }
  return {ivp / (2 * counted * o.steps), mse / (2 * counted),
          1 - both / (both + .5 * (p_sum - both) + .5 * (y_sum - both))};
}

}  // namespace

TEST_CASE("ignored pixels: the losses are computed from the counted pixels only") {
  const Case c;
  const VectorFieldOptions options;
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const LossTerms terms =
        vector_field_losses(tape, {Tensor::from(exec, {c.n, 1, c.h, c.w}, c.logit)},
                            {Tensor::from(exec, {c.n, 2, c.h, c.w}, c.field)}, c.batch(exec), options);
    const std::vector<double> want = plain_losses(c, options.ivp);
    for (size_t k = 0; k < 3; ++k)
      CHECK_MESSAGE(terms.terms[k].second.value.to_host<double>(exec)[0] == doctest::Approx(want[k]).epsilon(1e-10),
                    terms.terms[k].first);
  }
}

TEST_CASE("ignored pixels: gradients match finite differences in double, and are 0 at ignored pixels") {
  const Case c;
  const Exec cpu;
  const std::vector<Shape> shapes{{c.n, 1, c.h, c.w}, {c.n, 2, c.h, c.w}};
  const VectorFieldOptions options;
  check_gradient(
      [&](Tape& t, std::vector<Var>& in) { return vector_field_losses(t, in[0], in[1], c.batch(cpu), options).total; },
      shapes, {c.logit, c.field}, 1e-6, 1e-6);
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var logit = tape.leaf(Tensor::from(exec, shapes[0], c.logit)),
              field = tape.leaf(Tensor::from(exec, shapes[1], c.field));
    const LossTerms terms = vector_field_losses(tape, logit, field, c.batch(exec), options);
    tape.backward(terms.total, Tensor::from<double>(exec, {1}, {1}));
    const std::vector<double> d_logit = tape.grad(logit).to_host<double>(exec),
                              d_field = tape.grad(field).to_host<double>(exec);
    for (size_t i = 0; i < d_logit.size(); ++i)
      CHECK((d_logit[i] != 0) == (c.counted[i] != 0));
    for (size_t i = 0; i < d_field.size(); ++i)
      CHECK((d_field[i] != 0) == c.counts(i));
  }
}

TEST_CASE("ignored pixels: a batch with ignored pixels only has a loss and a gradient of 0") {
  Case c;
  std::fill(c.counted.begin(), c.counted.end(), 0), std::fill(c.mask.begin(), c.mask.end(), 0);
  std::fill(c.target.begin(), c.target.end(), 0);
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var field = tape.leaf(Tensor::from(exec, {c.n, 2, c.h, c.w}, c.field));
    const LossTerms terms =
        vector_field_losses(tape, tape.leaf(Tensor::from(exec, {c.n, 1, c.h, c.w}, c.logit)), field, c.batch(exec), {});
    CHECK(terms.total.value.to_host<double>(exec)[0] == 0);
    tape.backward(terms.total, Tensor::from<double>(exec, {1}, {1}));
    CHECK(tape.grad(field).to_host<double>(exec) == std::vector<double>(c.field.size()));
  }
}

TEST_CASE("ignored pixels: targets equal those of labels with background at ignored pixels, which are not counted") {
  for (const Exec& exec : execs()) {
    VectorFields method{VectorFieldOptions()};
    const int margin = method.sample_spec().margin, side = 8, size = side + 2 * margin;
    std::vector<int32_t> ids(size_t(size) * size_t(size)), cleared;
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x)
        ids[size_t(y * size + x)] = (y + x) % 7 == 0 ? -1 : x > size / 2 ? 1 : 0;
    cleared = ids;
    for (int32_t& id : cleared)
      id = std::max(id, 0);
    const auto targets_of = [&](const std::vector<int32_t>& labels) {
      const Tensor on = Tensor::from<int32_t>(exec, {size, size}, labels);
      const TargetTensors to = make_target_tensors(exec, method.targets(), 1, side, side);
      method.make_targets(exec, {on.data<const int32_t>(), {1, size, size}}, SampleTargets(to, 0));
      return to;
    };
    const TargetTensors all = targets_of(cleared);
    CHECK(!all.contains("counted"));
    REQUIRE(method.ignore_negative_labels());
    const TargetTensors part = targets_of(ids);
    const std::vector<float> counted = part.at("counted").to_host<float>(exec);
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        CHECK(counted[size_t(y * side + x)] == ((y + x + 2 * margin) % 7 == 0 ? 0 : 1));
    CHECK(part.at("mask").to_host<float>(exec) == all.at("mask").to_host<float>(exec));
    const std::vector<float> field = part.at("target").to_host<float>(exec),
                             whole = all.at("target").to_host<float>(exec);
    for (size_t i = 0; i < field.size(); ++i)
      CHECK(field[i] == (counted[i % counted.size()] != 0 ? whole[i] : 0));
  }
}

TEST_CASE("ignored pixels: are read from a label value, stored apart from the labels and left out of scores") {
  const Folder folder;
  write_labels(folder / "a_masks.png", {2, 4, 3, {1, 1, 3, 3, 0, 2, 2, 3}});
  write_png(folder / "a.png", {2, 4, 1, PixelType::u8, std::vector<std::byte>(8)});
  const std::vector<Pair> pairs = find_pairs(folder.path());
  const PartialLabels partial = read_partial_labels(pairs[0], 2, 4, 2);
  CHECK(partial.labels.ids == std::vector<int32_t>{1, 1, 2, 2, 0, 0, 0, 2});
  CHECK(partial.labels.count == 2);
  CHECK(partial.ignored.ids == std::vector<int32_t>{0, 0, 0, 0, 0, 1, 1, 0});
  const std::vector<Example> plain = read_examples(pairs, 1, {}), with = read_examples(pairs, 1, {}, 2);
  CHECK(!plain[0].ignored);
  REQUIRE(with[0].ignored);
  CHECK(with[0].labels.count() == 2);
  CHECK(fingerprint(plain) != fingerprint(with));
  CHECK(!read_examples(pairs, 1, {}, 9)[0].ignored);  // no pixel has this value
  CHECK(!truth_of(plain[0]).ignored);
  CHECK(truth_of(with[0]).ignored->bytes() == with[0].ignored->bytes());
  const Truth truth = read_truth(pairs[0], 2);
  CHECK(std::get<Labels>(truth.objects).ids == partial.labels.ids);
  CHECK(truth.ignored->labels().ids == partial.ignored.ids);
  CHECK(!read_truth(pairs[0], 9).ignored);
  CHECK(std::get<Labels>(read_truth(pairs[0], {}).objects).count == 3);
}

TEST_CASE("ignored pixels: predicted objects lose them, and do not count if most of them are ignored") {
  // Object 1 loses most of its pixels, 2 one of three, and 3 half of them.
  const Labels found{2, 5, 3, {3, 1, 2, 2, 1, 3, 1, 2, 0, 0}};
  const StoredLabels ignored(Labels{2, 5, 1, {0, 1, 0, 0, 0, 1, 1, 1, 0, 0}});
  const Truth none{Labels{2, 5, 0, std::vector<int32_t>(10)}, ignored};
  const CountedObjects counted = counted_objects(none, found);
  CHECK(std::get<Labels>(counted.objects).ids == std::vector<int32_t>{2, 0, 1, 1, 0, 0, 0, 0, 0, 0});
  CHECK(std::get<Labels>(counted.objects).count == 2);
  CHECK(counted.numbers == std::vector<int32_t>{2, 3});
  const CountedObjects masks = counted_objects(none, masks_of(found));
  CHECK(masks.numbers == counted.numbers);
  CHECK(flatten(std::get<Planes>(masks.objects)).ids == std::get<Labels>(counted.objects).ids);

  // What remains of object 1 matches a true object, or covers no more than half of one.
  const auto numbers = [&](std::vector<int32_t> ids, const Objects& objects) {
    return counted_objects({Labels{2, 5, 1, std::move(ids)}, ignored}, objects).numbers;
  };
  for (const Objects& objects : {Objects(found), Objects(masks_of(found))}) {
    CHECK(numbers({0, 0, 0, 0, 1, 0, 0, 0, 0, 0}, objects) == std::vector<int32_t>{1, 2, 3});
    CHECK(numbers({0, 0, 0, 0, 1, 0, 0, 0, 0, 1}, objects) == std::vector<int32_t>{2, 3});
  }
  // Objects that are ignored as a whole do not count, and without ignored pixels all do.
  const StoredLabels all(Labels{2, 5, 1, std::vector<int32_t>(10, 1)});
  CHECK(counted_objects({none.objects, all}, found).numbers.empty());
  CHECK(counted_objects({none.objects}, found).numbers == std::vector<int32_t>{1, 2, 3});
  CHECK_THROWS_AS(counted_objects(none, Labels{5, 2, 1, std::vector<int32_t>(10, 1)}), Error);

  const std::vector<double> confidence{0.9, 0.8, 0.7};
  const ImageScore s = score(none, found, confidence);
  CHECK(s.prediction == 2);
  REQUIRE(s.detections.size() == 2);
  CHECK(s.detections[0].confidence == 0.8);
  CHECK(s.detections[1].confidence == 0.7);
  CHECK(s.semantic_iou.below == 4);  // with the pixel of object 1 that is not ignored
  CHECK(s.aji.below == 3);
  CHECK(score({none.objects}, found, confidence).semantic_iou.below == 8);
}

TEST_CASE("train: --ignore-label is recorded and kept when resuming, and refused for methods without support") {
  const Folder folder;
  REQUIRE(run_basin(folder, "synth --count 3 --size 64 --out data").code == 0);
  const std::string few = "train --data data --width 8 --crop 32 --batch 1 --save-every 2 --device cpu --threads 1 ";
  for (const char* model : {"es", "wn", "fc", "og"}) {
    const Ran refused = run_basin(
        folder, "train --data data --steps 1 --ignore-label 2 --device cpu --out no --model " + std::string(model));
    CHECK(refused.code == 1);
    CHECK_MESSAGE(contains(refused.err, "--ignore-label 2: the method " + std::string(model)), refused.err);
  }
  const auto bytes_of = [&](const std::string& run) { return read_bytes(folder / (run + "/last.safetensors")); };
  REQUIRE(run_basin(folder, few + "--steps 4 --out plain").code == 0);
  const Ran whole = run_basin(folder, few + "--steps 4 --ignore-label 2 --out whole");
  REQUIRE_MESSAGE(whole.code == 0, whole.err);
  CHECK(bytes_of("plain") != bytes_of("whole"));
  REQUIRE(run_basin(folder, few + "--steps 2 --ignore-label 2 --out parts").code == 0);
  const Ran other = run_basin(folder, few + "--steps 4 --ignore-label 3 --out parts --resume");
  CHECK(other.code == 1);
  CHECK_MESSAGE(contains(other.err, "ignore-label is 3, was 2"), other.err);
  REQUIRE(run_basin(folder, few + "--steps 4 --ignore-label 2 --out parts --resume").code == 0);
  CHECK(bytes_of("parts") == bytes_of("whole"));
  CHECK(Json::parse(read_bytes(folder / "whole/run.json"))["ignore_label"] == 2);
  // A value that does not occur in any image.
  const Ran none = run_basin(folder, few + "--steps 1 --ignore-label 60000 --out none");
  CHECK_MESSAGE(contains(none.err, "--ignore-label 60000: no label image contains this value"), none.err);
  // Scaled images keep their ignored pixels.
  CHECK(run_basin(folder, few + "--steps 1 --scale 0.5 --ignore-label 2 --out half").code == 0);
}

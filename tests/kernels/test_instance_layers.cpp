#include <algorithm>

#include "tests/support/instance_support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// Objects that share pixels, in layers: 1 and 2 cross, 4 lies on their crossing, 5 lies partly on 1, and 3 elsewhere.
const std::vector<Grid> crossing{grid({"...........", "...........", ".1111111...", ".1111111.33", ".........33"}),
                                 grid({"...222.....", "...222.....", "...222.55..", "...222.....", "...222....."}),
                                 grid({"...........", "...........", "....44.....", "....44.....", "..........."})};
constexpr int crossing_objects = 5;

Tensor layers_of(const Exec& exec, const std::vector<Grid>& layers) {
  std::vector<int32_t> ids;
  for (const Grid& g : layers)
    ids.insert(ids.end(), g.ids.begin(), g.ids.end());
  return Tensor::from(exec, {1, int64_t(layers.size()), layers[0].height, layers[0].width}, ids);
}

}  // namespace

TEST_CASE("instance loss: areas, boxes and centres of objects in layers are those of each object alone") {
  for (const Exec& exec : execs())
    for (kernels::CentreKind kind :
         {kernels::CentreKind::medoid, kernels::CentreKind::approximate_medoid, kernels::CentreKind::centroid}) {
      const InstanceTargets all = instance_targets(exec, layers_of(exec, crossing), 6, kind);
      CHECK(all.layer.to_host<int32_t>(exec) == std::vector<int32_t>{0, 1, 0, 2, 1, 0});
      CHECK(all.count.to_host<int32_t>(exec) == std::vector<int32_t>{crossing_objects});
      const std::vector<double> centre = all.centre.to_host<double>(exec);
      const std::vector<int32_t> area = all.area.to_host<int32_t>(exec), box = all.box.to_host<int32_t>(exec);
      for (size_t k = 0; k < size_t(crossing_objects); ++k) {
        Grid alone = crossing[0];
        for (size_t i = 0; i < alone.ids.size(); ++i) {
          const auto has = [&](const Grid& layer) { return layer.ids[i] == int32_t(k) + 1; };
          alone.ids[i] = std::any_of(crossing.begin(), crossing.end(), has);
        }
        const InstanceTargets one = targets_of(exec, alone, 1, kind);
        const std::vector<double> want = one.centre.to_host<double>(exec);
        const std::vector<int32_t> want_box = one.box.to_host<int32_t>(exec);
        CHECK(std::vector<double>(&centre[2 * k], &centre[2 * k] + 2) == want);
        CHECK(std::vector<int32_t>(&box[4 * k], &box[4 * k] + 4) == want_box);
        CHECK(area[k] == one.area.to_host<int32_t>(exec)[0]);
      }
      CHECK(area.back() == 0);
    }
}

TEST_CASE("instance loss: objects that share pixels: the loss equals the formulas, and is the same in any layers") {
  const Exec cpu;
  const std::vector<Grid> swapped{crossing[1], crossing[2], crossing[0]};
  const InstanceTargets targets = instance_targets(cpu, layers_of(cpu, crossing), 7, kernels::CentreKind::medoid);
  const std::vector<int32_t> ids = targets.labels.to_host<int32_t>(cpu);
  const std::vector<double> centre = targets.centre.to_host<double>(cpu);
  const Shape shape{1, 5, crossing[0].height, crossing[0].width};
  for (double offset : {0.0, .004, .02})
    for (double sigma : {.7, 1.0}) {
      const std::vector<double> raw = raw_maps(size_t(shape[2] * shape[3]), offset, sigma, .1, 3);
      const LossValues want = loss_by_formula(crossing[0], raw, centre, crossing_objects, ids);
      Tape tape(cpu);
      const Var in = tape.leaf(Tensor::from(cpu, shape, raw));
      const std::vector<double> got = instance_loss(tape, in, targets).terms.to_host<double>(cpu);
      check_close<double>(got, {want.total, want.instance, want.variance, want.seed}, 1e-12, 1e-12);
      const std::vector<float> single(raw.begin(), raw.end());
      for (const Exec& exec : execs())
        for (const std::vector<Grid>& layers : {crossing, swapped}) {
          Tape other(exec);
          const InstanceTargets there = instance_targets(exec, layers_of(exec, layers), 5, kernels::CentreKind::medoid);
          const Var narrow = other.leaf(Tensor::from(exec, shape, single));
          const std::vector<float> close = instance_loss(other, narrow, there).terms.to_host<float>(exec);
          check_close<double>({close.begin(), close.end()}, got, 1e-5, 1e-4);
        }
    }
}

TEST_CASE("instance loss: objects that share pixels: gradients in double") {
  const Exec cpu;
  const InstanceTargets targets = instance_targets(cpu, layers_of(cpu, crossing), 5, kernels::CentreKind::medoid);
  const int height = crossing[0].height, width = crossing[0].width;
  const size_t n = size_t(height * width);
  const std::vector<double> raw = raw_maps(n, .004, .9, .05, 5);
  const Shape shape{1, 5, height, width};
  kernels::InstanceLossOptions hinges, rest;
  hinges.variance = hinges.seed = 0, rest.instance = 0;
  check_gradient([&](Tape& t, std::vector<Var>& in) { return instance_loss(t, in[0], targets, hinges).total; }, {shape},
                 {raw}, 1e-7, 1e-5);

  // The other terms stop gradients through d and the means: each object adds its own part, with both held constant.
  const std::vector<int32_t> ids = targets.labels.to_host<int32_t>(cpu);
  const std::vector<double> centre = targets.centre.to_host<double>(cpu);
  std::vector<double> want(5 * n, 0), owners(n, 0);
  const auto phi = [&](size_t i) { return 1 / (1 + std::exp(-raw[4 * n + i])); };
  const auto add_seed = [&](size_t i, double factor, double d) {
    want[4 * n + i] += factor * 2 * (phi(i) - d) * phi(i) * (1 - phi(i)) / double(n);
  };
  for (int k = 1; k <= crossing_objects; ++k) {
    std::vector<size_t> pixels;
    for (size_t i = 0; i < ids.size(); ++i)
      if (ids[i] == k) pixels.push_back(i % n);
    const double area = double(pixels.size());
    double mean[2] = {};
    for (size_t c = 0; c < 2; ++c)
      for (const size_t i : pixels)
        mean[c] += raw[(2 + c) * n + i] / area;
    for (const size_t i : pixels) {
      double u = 0;
      const double at[] = {double(i % size_t(width)), double(i / size_t(width))};
      for (size_t c = 0; c < 2; ++c) {
        const double to = at[c] / 1023 + std::tanh(raw[c * n + i]) - centre[2 * size_t(k - 1) + c] / 1023;
        u += std::exp(10 * mean[c]) * to * to;
        want[(2 + c) * n + i] += 10 * 2 * (raw[(2 + c) * n + i] - mean[c]) / (2 * area) / crossing_objects;
      }
      add_seed(i, 10, std::exp(-u));
      ++owners[i];
    }
  }
  CHECK(*std::max_element(owners.begin(), owners.end()) == 3);
  for (size_t i = 0; i < n; ++i)
    if (owners[i] == 0) add_seed(i, 1, 0);
  Tape tape(cpu);
  const Var in = tape.leaf(Tensor::from(cpu, shape, raw));
  tape.backward(instance_loss(tape, in, targets, rest).total, Tensor::from<double>(cpu, {1}, {1}));
  check_close<double>(tape.grad(in).to_host<double>(cpu), want, 1e-12, 1e-12);
}

TEST_CASE("instance loss: an empty layer changes no bit, and neither does the number of threads with several layers") {
  const Exec cpu;
  const Grid g = ellipses(71, 90, 25, 14, 1), crossed = ellipses(71, 90, 25, 14, 2);
  Grid first = g, second = crossed, none = g;
  first.ids = compact_ids(g), second.ids = compact_ids(crossed);
  const int32_t objects = *std::max_element(first.ids.begin(), first.ids.end());
  for (int32_t& id : second.ids)
    if (id > 0) id += objects;
  std::fill(none.ids.begin(), none.ids.end(), 0);
  const std::vector<double> wide = raw_maps(g.ids.size(), .01, .9, .1, 9);
  const std::vector<float> raw(wide.begin(), wide.end());
  const auto gradient = [&](const Exec& exec, const std::vector<Grid>& layers) {
    Tape tape(exec);
    const Var in = tape.leaf(Tensor::from(exec, {1, 5, 71, 90}, raw));
    const InstanceTargets t = instance_targets(exec, layers_of(exec, layers), 60, kernels::CentreKind::medoid);
    tape.backward(instance_loss(tape, in, t).total, Tensor::from<float>(exec, {1}, {1}));
    return tape.grad(in).to_host<float>(exec);
  };
  const std::vector<float> want = gradient(cpu, {first, second});
  check_threads([&] { return gradient(cpu, {first, second}); });
  for (const Exec& exec : execs()) {
    CHECK(gradient(exec, {first, none}) == gradient(exec, {first}));
    CHECK(gradient(exec, {none, first}) == gradient(exec, {first}));
    check_close(gradient(exec, {first, second}), want, 1e-4, 1e-3);
  }
}

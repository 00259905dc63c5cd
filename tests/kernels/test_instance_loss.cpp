#include <omp.h>

#include <algorithm>
#include <numeric>

#include "engine/ops/instance.h"
#include "kernels/embedding/lovasz.h"
#include "tests/support/instance_support.h"

using namespace basin;
using namespace basin::test;

namespace {

std::vector<double> centre_of(const Exec& exec, const Grid& g, kernels::CentreKind kind, int k = 0) {
  const std::vector<double> all = targets_of(exec, g, 8, kind).centre.to_host<double>(exec);
  return {all[size_t(2 * k)], all[size_t(2 * k + 1)]};
}

/// Compares all pairs of pixels; of pixels whose sums agree to ten digits, the first is the medoid.
std::vector<double> medoid_by_all_pairs(const Grid& g, const std::vector<int32_t>& ids, int32_t label) {
  std::vector<std::pair<int, int>> pixels;
  for (int i = 0; i < int(ids.size()); ++i)
    if (ids[size_t(i)] == label) pixels.push_back({i % g.width, i / g.width});
  std::vector<double> sums;
  for (const auto& a : pixels) {
    double sum = 0;
    for (const auto& b : pixels)
      sum += std::sqrt(std::pow(a.first - b.first, 2) + std::pow(a.second - b.second, 2));
    sums.push_back(sum);
  }
  const double least = *std::min_element(sums.begin(), sums.end());
  for (size_t i = 0; i < pixels.size(); ++i)
    if (sums[i] <= least * (1 + 1e-10)) return {double(pixels[i].first), double(pixels[i].second)};
  return {};
}

}  // namespace

TEST_CASE("Lovasz hinge: values by hand, from the formula") {
  for (const Exec& exec : execs()) {
    // Two segments; the scores (.6, -.2, -.4, .3) with labels (1, 0, 1, 0), and a segment without positives.
    const Tensor offset = Tensor::from<int32_t>(exec, {4}, {0, 4, 4, 6});
    const Tensor error = Tensor::from<float>(exec, {6}, {.4f, .8f, 1.4f, 1.3f, .5f, .7f});
    const Tensor positive = Tensor::from<uint8_t>(exec, {6}, {1, 0, 1, 0, 0, 0}), weight = Tensor::zeros(exec, {6});
    kernels::lovasz_weights<float>(exec, {offset.data<int32_t>(), 3}, error.view<const float, 1>(),
                                   positive.view<const uint8_t, 1>(), weight.view<float, 1>());
    const std::vector<float> w = weight.to_host<float>(exec), e = error.to_host<float>(exec);
    check_close<float>(w, {.25f, 1 / 12.f, .5f, 1 / 6.f, 0, 1}, 1e-6, 0);
    CHECK(std::inner_product(w.begin(), w.begin() + 4, e.begin(), 0.0) == doctest::Approx(1.083333).epsilon(1e-6));
  }
}

TEST_CASE("Lovasz hinge: sorting all segments at once gives the same weights as sorting each segment") {
  std::vector<Exec> all = execs();
  Exec plain;
  plain.variant = Variant::plain;
  all.push_back(plain);
  const int n = 6000;
  std::vector<float> errors = uniform<float>(n, -.2, 2, 1);
  for (int i = 0; i < n; i += 3)
    errors[size_t(i)] = std::round(errors[size_t(i)] * 8) / 8;  // ties
  std::vector<uint8_t> positives;
  for (double u : uniform<double>(n, 0, 1, 2))
    positives.push_back(u < .3);
  const std::vector<int32_t> offsets{0, 0, 1, 1500, 1501, 5000, 5990};
  std::vector<float> want;
  for (const Exec& exec : all) {
    const Tensor offset = Tensor::from(exec, {7}, offsets), error = Tensor::from(exec, {n}, errors);
    const Tensor positive = Tensor::from(exec, {n}, positives),
                 weight = Tensor::from(exec, {n}, std::vector<float>(n, 9));
    kernels::lovasz_weights<float>(exec, {offset.data<int32_t>(), 3, 2}, error.view<const float, 1>(),
                                   positive.view<const uint8_t, 1>(), weight.view<float, 1>());
    const std::vector<float> got = weight.to_host<float>(exec);
    if (want.empty()) want = got;
    CHECK(got == want);
    CHECK(got.back() == 0);
    CHECK(std::accumulate(got.begin() + 1501, got.end(), 0.0) == doctest::Approx(1));
  }
}

TEST_CASE("objects: areas, boxes and counts; labels beyond the capacity are reported") {
  for (const Exec& exec : execs()) {
    const Tensor labels = Tensor::from<int32_t>(exec, {2, 1, 2, 4}, {0, 2, 2, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0});
    const InstanceTargets t = instance_targets(exec, labels, 3, kernels::CentreKind::medoid);
    CHECK(t.area.to_host<int32_t>(exec) == std::vector<int32_t>{1, 3, 0, 0, 0, 0});
    CHECK(t.count.to_host<int32_t>(exec) == std::vector<int32_t>{2, 0});
    const std::vector<int32_t> box = t.box.to_host<int32_t>(exec);
    CHECK(std::vector<int32_t>(box.begin(), box.begin() + 8) == std::vector<int32_t>{0, 1, 0, 1, 1, 0, 3, 1});
    CHECK(instance_targets(exec, labels, 1, kernels::CentreKind::medoid).count.to_host<int32_t>(exec) ==
          std::vector<int32_t>{-1, 0});
  }
}

TEST_CASE("centres: medoid, centroid and approximate medoid by hand") {
  using kernels::CentreKind;
  for (const Exec& exec : execs()) {
    CHECK(centre_of(exec, grid({"1"}), CentreKind::medoid) == std::vector<double>{0, 0});
    CHECK(centre_of(exec, grid({".11."}), CentreKind::medoid) == std::vector<double>{1, 0});  // a tie: the first pixel
    CHECK(centre_of(exec, grid({"..", ".1", ".1"}), CentreKind::medoid) == std::vector<double>{1, 1});
    const Grid square = grid({"11", "11"});  // all four pixels tie
    CHECK(centre_of(exec, square, CentreKind::medoid) == std::vector<double>{0, 0});
    const Grid corner = grid({"111111", "1.....", "1.....", "1.....", "1....."});
    CHECK(centre_of(exec, corner, CentreKind::centroid) == std::vector<double>{1.5, 1});        // (2, 1) is outside
    CHECK(centre_of(exec, grid({"1111"}), CentreKind::centroid) == std::vector<double>{2, 0});  // 1.5 rounds to even
    CHECK(centre_of(exec, grid({"11"}), CentreKind::centroid) == std::vector<double>{0, 0});    // .5 rounds to even
    // Medians of x (0 0 0 0 0 1 2 3 4 5) 0.5 and of y (0 0 0 0 0 0 1 2 3 4) 0: (0, 0) and (1, 0) tie.
    CHECK(centre_of(exec, corner, CentreKind::approximate_medoid) == std::vector<double>{0, 0});
    CHECK(centre_of(exec, grid({"1...1..1"}), CentreKind::approximate_medoid) == std::vector<double>{4, 0});
    CHECK(centre_of(exec, grid({"..."}), CentreKind::medoid) == std::vector<double>{0, 0});
  }
}

TEST_CASE("centres: the medoid equals an all-pairs search") {
  for (const auto& [name, g] : awkward()) {
    if (name == "every pixel its own" || name == "bricks") continue;
    CAPTURE(name);
    const std::vector<int32_t> ids = compact_ids(g);
    const int objects = *std::max_element(ids.begin(), ids.end());
    for (const Exec& exec : execs()) {
      const std::vector<double> centre = targets_of(exec, g, std::max(objects, 1)).centre.to_host<double>(exec);
      for (int k = 1; k <= objects; ++k)
        CHECK(std::vector<double>{centre[size_t(2 * k - 2)], centre[size_t(2 * k - 1)]} ==
              medoid_by_all_pairs(g, ids, k));
    }
  }
}

TEST_CASE("instance loss: equals the formulas, computed pixel by pixel") {
  const Exec cpu;
  kernels::InstanceLossOptions every_pair;
  every_pair.slots_per_pixel = 1000;
  for (const auto& [name, g] : awkward()) {
    if (name == "every pixel its own" || name == "bricks") continue;
    CAPTURE(name);
    const std::vector<int32_t> ids = compact_ids(g);
    const int objects = *std::max_element(ids.begin(), ids.end());
    const Tensor labels = Tensor::from(cpu, {1, 1, g.height, g.width}, ids);
    const InstanceTargets targets = instance_targets(cpu, labels, objects + 2, kernels::CentreKind::medoid);
    const std::vector<double> centre = targets.centre.to_host<double>(cpu);
    for (double offset : {0.0, .004, .02})
      for (double sigma : {.7, 1.0}) {
        const std::vector<double> raw = raw_maps(ids.size(), offset, sigma, .1, 3);
        const LossValues want = loss_by_formula(g, raw, centre, objects, ids);
        Tape tape(cpu);
        const Var in = tape.leaf(Tensor::from(cpu, {1, 5, g.height, g.width}, raw));
        const std::vector<double> got = instance_loss(tape, in, targets).terms.to_host<double>(cpu);
        check_close<double>(got, {want.total, want.instance, want.variance, want.seed}, 1e-12, 1e-12);
        const std::vector<float> single(raw.begin(), raw.end());
        for (const Exec& exec : execs()) {
          Tape other(exec);
          const Var narrow = other.leaf(Tensor::from(exec, {1, 5, g.height, g.width}, single));
          const std::vector<float> close =
              instance_loss(other, narrow, targets_of(exec, g, objects + 1), every_pair).terms.to_host<float>(exec);
          check_close<double>({close.begin(), close.end()}, got, 1e-5, 1e-4);
        }
      }
  }
}

TEST_CASE("instance loss: the initial loss, when an untrained network's pixels point at themselves") {
  // Object 1 is a single pixel, its own centre, where d = 1; with sigma 1, d falls to .5 at 5.739 px (the half-margin).
  const Exec cpu;
  for (const auto& [sigma, margin] :
       std::vector<std::pair<double, double>>{{.5, 69.912}, {.8, 15.599}, {1, 5.739}, {1.2, 2.111}})
    CHECK(1023 * std::sqrt(std::log(2) / std::exp(10 * sigma)) == doctest::Approx(margin).epsilon(1e-4));
  const Grid g = grid({"1......"});
  std::vector<float> raw(5 * 7, 0);
  std::fill(raw.begin() + 14, raw.begin() + 28, 1.f);
  Tape tape(cpu);
  const std::vector<float> got =
      instance_loss(tape, tape.leaf(Tensor::from(cpu, {1, 5, 1, 7}, raw)), targets_of(cpu, g, 1))
          .terms.to_host<float>(cpu);
  // The error of pixel x is 2 exp(-s (x / 1023)^2). In descending order the object's own pixel, with error 0, is last.
  double want = 0;
  for (int x = 1; x < 7; ++x)
    want += 2 * std::exp(-std::exp(10) * std::pow(x / 1023.0, 2)) / (x * (x + 1.0));
  CHECK(got[1] == doctest::Approx(want).epsilon(1e-5));
  CHECK(got[2] == 0);
  CHECK(got[3] == doctest::Approx((10 * .25 + 6 * .25) / 7));
}

TEST_CASE("instance loss: gradients in double") {
  const Exec cpu;
  const Tensor labels = Tensor::from(cpu, {2, 1, 5, 7}, compact_ids(ellipses(10, 7, 4, 3, 4)));
  for (kernels::CentreKind kind : {kernels::CentreKind::medoid, kernels::CentreKind::centroid}) {
    std::vector<int32_t> ids = labels.to_host<int32_t>(cpu);
    const InstanceTargets targets = instance_targets(cpu, labels, 6, kind);
    // Left out because their gradients are stopped: finite differences would include d (seed) and the mean (variance).
    kernels::InstanceLossOptions o;
    o.variance = o.seed = 0;
    std::vector<double> raw = raw_maps(35, .004, 1, .05, 5);
    const std::vector<double> more = raw_maps(35, .004, .95, .05, 8);
    raw.insert(raw.end(), more.begin(), more.end());
    const Shape shape{2, 5, 5, 7};
    check_gradient([&](Tape& t, std::vector<Var>& in) { return instance_loss(t, in[0], targets, o).total; }, {shape},
                   {raw}, 1e-7, 1e-5);
  }
}

TEST_CASE("instance loss: the variance and seed terms stop gradients through the mean and the distance") {
  const Exec cpu;
  const Grid g = grid({"11.2"});
  const std::vector<double> raw{0, .001, 0, 0, 0, 0, 0, 0, .9, 1.1, .3, 1, 1, 1, .3, 1, 2, -1, .5, 0};
  Tape tape(cpu);
  const Var in = tape.leaf(Tensor::from(cpu, {1, 5, 1, 4}, raw));
  kernels::InstanceLossOptions o;
  o.instance = 0;
  const InstanceLoss loss = instance_loss(tape, in, targets_of(cpu, g, 2), o);
  tape.backward(loss.total, Tensor::from<double>(cpu, {1}, {3}));
  const std::vector<double> got = tape.grad(in).to_host<double>(cpu);
  for (size_t i = 0; i < 8; ++i)
    CHECK(got[i] == 0);
  // 10 * (1 / 2 objects) * 2 (sigma - mean) / (2 channels * 2 px), times the incoming gradient 3
  check_close<double>({got.begin() + 8, got.begin() + 16}, {-.75, .75, 0, 0, 0, 0, 0, 0}, 1e-12, 0);
  const double s = std::exp(10), second = std::exp(-s * std::pow(1 / 1023.0 + std::tanh(.001), 2));
  const double d[] = {1, second, 0, 1}, factor[] = {10, 10, 1, 10};
  for (size_t i = 0; i < 4; ++i) {
    const double phi = 1 / (1 + std::exp(-raw[16 + i]));
    CHECK(got[16 + i] == doctest::Approx(3 * factor[i] * 2 * (phi - d[i]) * phi * (1 - phi) / 4));
  }
}

TEST_CASE("instance loss: no object, one pixel, and NaN for too many objects and for NaN in the input") {
  for (const Exec& exec : execs()) {
    const auto loss = [&](const std::vector<int32_t>& ids, const std::vector<float>& raw, int capacity,
                          std::vector<float>* gradient = nullptr) {
      const int width = int(ids.size());
      Tape tape(exec);
      const Var in = tape.leaf(Tensor::from(exec, {1, 5, 1, width}, raw));
      const InstanceTargets t =
          instance_targets(exec, Tensor::from(exec, {1, 1, 1, width}, ids), capacity, kernels::CentreKind::medoid);
      const InstanceLoss l = instance_loss(tape, in, t);
      tape.backward(l.total, Tensor::from<float>(exec, {1}, {1}));
      if (gradient) *gradient = tape.grad(in).to_host<float>(exec);
      return l.terms.to_host<float>(exec);
    };
    std::vector<float> gradient;
    check_close<float>(loss({0, 0}, std::vector<float>(10, 0), 2, &gradient), {.25f, 0, 0, .25f}, 1e-6, 0);
    check_close<float>(gradient, {0, 0, 0, 0, 0, 0, 0, 0, .125f, .125f}, 1e-6, 0);
    check_close<float>(loss({1}, {0, 0, 1, 1, 0}, 1), {2.5f, 0, 0, 2.5f}, 1e-6, 0);
    CHECK(std::isnan(loss({1, 2}, std::vector<float>(10, 0), 1)[0]));  // more objects than the capacity
    for (size_t channel = 0; channel < 5; ++channel) {
      std::vector<float> raw(10, 0);
      raw[2 * channel + 1] = NAN;
      CAPTURE(channel);
      CHECK(std::isnan(loss({0, 1}, raw, 1)[0]));
      if (channel != 2 && channel != 3) CHECK(std::isnan(loss({1, 0}, raw, 1)[0]));
    }
    if (exec.device == Device::cuda) {  // every pixel is near every object, but there is one slot per pixel
      Tape tape(exec);
      kernels::InstanceLossOptions o;
      o.slots_per_pixel = 1;
      const Grid g = grid({"12345678"});
      const Var in = tape.leaf(Tensor::zeros(exec, {1, 5, 1, 8}));
      CHECK(std::isnan(instance_loss(tape, in, targets_of(exec, g, 8), o).terms.to_host<float>(exec)[0]));
    }
    Tape tape(exec);
    CHECK_THROWS_AS(instance_loss(tape, {Tensor::zeros(exec, {1, 4, 1, 8})}, targets_of(exec, grid({"12345678"}), 8)),
                    Error);
  }
}

TEST_CASE("instance loss: the same bits with any number of threads, and the same gradient on every device") {
  const Exec cpu;
  const Grid g = ellipses(71, 90, 25, 14, 1);
  const std::vector<double> wide = raw_maps(g.ids.size(), .01, .9, .1, 9);
  const std::vector<float> raw(wide.begin(), wide.end());
  const auto gradient = [&](const Exec& exec) {
    Tape tape(exec);
    const Var in = tape.leaf(Tensor::from(exec, {1, 5, 71, 90}, raw));
    tape.backward(instance_loss(tape, in, targets_of(exec, g, 30)).total, Tensor::from<float>(exec, {1}, {1}));
    return tape.grad(in).to_host<float>(exec);
  };
  check_threads([&] { return gradient(cpu); });
  const std::vector<float> want = gradient(cpu);
  for (const Exec& exec : execs())
    check_close(gradient(exec), want, 1e-4, 1e-3);
}

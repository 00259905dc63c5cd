#include <omp.h>

#include <cmath>
#include <limits>

#include "engine/ops/embedding.h"
#include "engine/ops/loss.h"
#include "kernels/embedding/adjacency.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

Tensor alpha_of(const Exec& exec, float alpha) { return Tensor::from<float>(exec, {1}, {alpha}); }

/// Labels [N, H, W] made of blocks, with ids from 0 to `objects`, some of them missing.
std::vector<int32_t> block_labels(Shape shape, int objects, unsigned seed) {
  std::mt19937 rng(seed);
  std::vector<int32_t> block(size_t(shape[0]) * 64);
  for (int32_t& b : block)
    b = int32_t(rng() % unsigned(objects + 1));
  std::vector<int32_t> labels;
  for (int n = 0; n < shape[0]; ++n)
    for (int y = 0; y < shape[1]; ++y)
      for (int x = 0; x < shape[2]; ++x)
        labels.push_back(block[size_t(n * 64 + y * 8 / shape[1] * 8 + x * 8 / shape[2])]);
  return labels;
}

struct LossParts {
  double total, intra, inter;
};

/// The loss, computed pixel by pixel and pair of objects by pair.
LossParts oracle(Shape shape, const std::vector<double>& e, const std::vector<int32_t>& labels, int capacity,
                 double radius, const kernels::EmbeddingLossOptions& o) {
  const int samples = shape[0], channels = shape[1], height = shape[2], width = shape[3], slots = capacity + 1;
  const size_t pixels = size_t(height) * size_t(width);
  const ObjectTables tables =
      object_tables({}, Tensor::from<int32_t>({}, {samples, height, width}, labels), capacity, radius);
  const std::vector<int32_t> bits = tables.neighbours.to_host<int32_t>({});
  LossParts sum{0, 0, 0};
  for (int n = 0; n < samples; ++n) {
    const auto value = [&](int k, size_t i) { return e[(size_t(n) * size_t(channels) + size_t(k)) * pixels + i]; };
    const auto slot = [&](size_t i) { return kernels::slot_of(labels[size_t(n) * pixels + i], slots); };
    std::vector<std::vector<double>> centre(size_t(slots), std::vector<double>(size_t(channels), 0.0));
    std::vector<double> size(size_t(slots), 0.0);
    for (size_t i = 0; i < pixels; ++i) {
      size[size_t(slot(i))] += 1;
      for (int k = 0; k < channels; ++k)
        centre[size_t(slot(i))][size_t(k)] += value(k, i);
    }
    double objects = 0;
    for (int c = 0; c < slots; ++c) {
      double length = 0;
      for (double& v : centre[size_t(c)])
        length += v * v;
      objects += size[size_t(c)] > 0;
      for (double& v : centre[size_t(c)])
        v /= o.unit_centres ? std::sqrt(length) : size[size_t(c)];
    }
    double intra = 0;
    for (size_t i = 0; i < pixels; ++i) {
      double product = 0;
      for (int k = 0; k < channels; ++k)
        product += value(k, i) * centre[size_t(slot(i))][size_t(k)];
      intra += (1 - product) / (o.per_object ? objects * size[size_t(slot(i))] : double(pixels));
    }
    double inter = 0, pairs = 0;
    for (int a = 0; a < slots; ++a) {
      double own = 0, degree = 0;
      for (int b = 0; b < slots; ++b) {
        const size_t row = (size_t(n) * size_t(slots) + size_t(a)) * size_t(kernels::words_for(slots));
        if (!kernels::is_neighbour(bits.data() + row, b)) continue;
        double product = 0;
        for (int k = 0; k < channels; ++k)
          product += centre[size_t(a)][size_t(k)] * centre[size_t(b)][size_t(k)];
        own += std::abs(product);
        degree += 1;
      }
      pairs += degree;
      inter += o.per_object ? (degree > 0 ? own / degree / objects : 0) : own;
    }
    if (!o.per_object && pairs > 0) inter /= pairs;
    sum.intra += intra / samples;
    sum.inter += inter / samples;
  }
  sum.total = sum.intra + o.inter_weight * sum.inter;
  return sum;
}

const kernels::EmbeddingLossOptions all_options[] = {kernels::fcrnet_loss,
                                                     kernels::wnet_loss,
                                                     kernels::fcrnet_cosine_loss,
                                                     {.unit_centres = false, .per_object = true, .inter_weight = 2}};

}  // namespace

TEST_CASE("power activation: values by hand") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const auto h = [&](float alpha, std::vector<double> e, double floor) {
      return power_activation(tape, {Tensor::from<double>(exec, {1, 4, 1, 1}, e)}, alpha_of(exec, alpha), floor)
          .value.to_host<double>(exec);
    };
    check_close<double>(h(2, {.5, -1, .25, 2}, 0), {.0470588, .1882353, .0117647, .7529412}, 1e-7, 0);
    check_close<double>(h(8, {.5, -1, .25, 2}, 0), {1.51992e-5, .00389099, 5.937e-8, .9960938}, 5e-9, 3e-6);
    check_close<double>(h(2.5f, {1, -1, 4, 0}, 0), {1 / 34., 1 / 34., 32 / 34., 0}, 1e-9, 0);
    check_close<double>(h(8, {1e60, -1e60, 0, 0}, 0), {.5, .5, 0, 0}, 1e-12, 0);
    check_close<double>(h(8, {0, 0, 0, 0}, 0), {0, 0, 0, 0}, 0, 0);
    check_close<double>(h(8, {0, 0, 0, 0}, 1e-4), {.25, .25, .25, .25}, 1e-12, 0);
    check_close<double>(h(2, {.1, 0, -.3, 0}, .1), {.04 / .22, .01 / .22, .16 / .22, .01 / .22}, 1e-12, 0);
  }
}

TEST_CASE("power activation: a pixel of zeros has no gradient without a floor, and has one with a floor") {
  for (const Exec& exec : execs())
    for (const double floor : {0.0, 1e-4}) {
      Tape tape(exec);
      const Var e = tape.leaf(Tensor::zeros(exec, {1, 2, 1, 1}, DType::f64));
      tape.backward(power_activation(tape, e, alpha_of(exec, 2), floor),
                    Tensor::from<double>(exec, {1, 2, 1, 1}, {1, 0}));
      const double slope = floor > 0 ? 2 / floor * .5 * .5 : 0;
      check_close<double>(tape.grad(e).to_host<double>(exec), {slope, -slope}, 0, 1e-9);
    }
}

TEST_CASE("power activation and unit vectors: gradients in double") {
  const Shape shape{2, 3, 1, 3};
  std::vector<double> at = uniform<double>(size_t(shape.size()), .05, 2, 3), negative = at;
  for (size_t i = 0; i < at.size(); i += 3)
    negative[i] = -negative[i];
  for (const float alpha : {1.f, 2.f, 4.f, 6.f, 8.f, 15.f, 2.5f, 16.f})
    for (const double floor : {0.0, 1e-2}) {
      CAPTURE(alpha);
      check_gradient(
          [&](Tape& t, std::vector<Var>& in) { return power_activation(t, in[0], alpha_of({}, alpha), floor); },
          {shape}, {negative}, 1e-6, 1e-6);
    }
  check_gradient([&](Tape& t, std::vector<Var>& in) { return unit_vectors(t, in[0]); }, {shape}, {negative}, 1e-6,
                 1e-7);
  std::vector<double> tiny = negative;
  for (double& v : tiny)
    v *= 1e-8;
  check_gradient([&](Tape& t, std::vector<Var>& in) { return unit_vectors(t, in[0]); }, {shape}, {tiny}, 1e-10, 1e-3);
}

TEST_CASE("unit vectors: values by hand") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Tensor v = Tensor::from<float>(exec, {1, 2, 1, 3}, {3, 0, -1e-7f, 4, 0, 0});
    check_close<float>(unit_vectors(tape, {v}).value.to_host<float>(exec), {.6f, 0, -.1f, .8f, 0, 0}, 1e-7, 1e-6);
  }
}

TEST_CASE("embedding loss: values by hand") {
  // A row of four pixels and two channels: two objects with two background pixels between them.
  for (const Exec& exec : execs()) {
    const Tensor labels = Tensor::from<int32_t>(exec, {1, 1, 4}, {1, 0, 0, 2});
    const ObjectTables far = object_tables(exec, labels, 5, 2), near = object_tables(exec, labels, 5, 3);
    const Tensor e = Tensor::from<double>(exec, {1, 2, 1, 4}, {1, .5, .5, 0, 0, .5, 0, 1});
    const auto loss = [&](const ObjectTables& tables, const kernels::EmbeddingLossOptions& o) {
      Tape tape(exec);
      const EmbeddingLoss l = embedding_loss(tape, {e}, tables, o);
      return std::vector<double>{l.total.value.to_host<double>(exec)[0], l.intra.to_host<double>(exec)[0],
                                 l.inter.to_host<double>(exec)[0]};
    };
    // Centres (1, 0), (0, 1) and (.5, .25): intra = 2 (1 - .3125) / 4, inter = 2 (.5 + .25) / pairs.
    check_close<double>(loss(far, kernels::fcrnet_loss), {.34375 + 4 * .375, .34375, .375}, 1e-12, 0);
    check_close<double>(loss(near, kernels::fcrnet_loss), {.34375 + 4 * .25, .34375, .25}, 1e-12, 0);
    // Unit centres: the background's is (2, 1) / sqrt 5, and its mean vector has length sqrt(.3125).
    const double root5 = std::sqrt(5.0), intra = (1 - std::sqrt(.3125)) / 3;
    const double a = 2 / root5, b = 1 / root5;
    const double apart = ((a + b) / 2 + a + b) / 3, together = ((a + b) / 2 + a / 2 + b / 2) / 3;
    check_close<double>(loss(far, kernels::wnet_loss), {intra + apart, intra, apart}, 1e-12, 0);
    check_close<double>(loss(near, kernels::wnet_loss), {intra + together, intra, together}, 1e-12, 0);
  }
}

TEST_CASE("embedding loss: a single object whose vectors cancel has a mean of zero and no gradient") {
  for (const Exec& exec : execs())
    for (const kernels::EmbeddingLossOptions& o : all_options) {
      const ObjectTables tables = object_tables(exec, Tensor::zeros(exec, {1, 1, 2}, DType::i32), 3);
      Tape tape(exec);
      const Var e = tape.leaf(Tensor::from<float>(exec, {1, 2, 1, 2}, {1, -1, 0, 0}));
      const EmbeddingLoss loss = embedding_loss(tape, e, tables, o);
      CHECK(loss.intra.to_host<float>(exec)[0] == 1);
      CHECK(loss.inter.to_host<float>(exec)[0] == 0);
      tape.backward(loss.total, Tensor::from<float>(exec, {1}, {1}));
      CHECK(tape.grad(e).to_host<float>(exec) == std::vector<float>(4, 0.f));
    }
}

TEST_CASE("embedding loss: equals a pixel-by-pixel computation, with every option and on every device") {
  const Shape shape{3, 5, 21, 43};
  const std::vector<double> e = uniform<double>(size_t(shape.size()), -1, 1, 5);
  const std::vector<int32_t> labels = block_labels({3, 21, 43}, 12, 6);
  for (Exec exec : execs())
    for (const bool deterministic : {false, true})
      for (const int capacity : {12, 7, 40})
        for (const kernels::EmbeddingLossOptions& o : all_options) {
          exec.deterministic = deterministic;
          const LossParts want = oracle(shape, e, labels, capacity, 4, o);
          const ObjectTables tables =
              object_tables(exec, Tensor::from<int32_t>(exec, {3, 21, 43}, labels), capacity, 4);
          Tape tape(exec);
          const EmbeddingLoss got = embedding_loss(tape, {Tensor::from(exec, shape, e)}, tables, o);
          CHECK(got.total.value.to_host<double>(exec)[0] == doctest::Approx(want.total).epsilon(1e-12));
          CHECK(got.intra.to_host<double>(exec)[0] == doctest::Approx(want.intra).epsilon(1e-12));
          CHECK(got.inter.to_host<double>(exec)[0] == doctest::Approx(want.inter).epsilon(1e-12));
        }
}

TEST_CASE("embedding loss: gradients in double, through the centres and the preceding layers") {
  const Shape shape{2, 3, 5, 6};
  const std::vector<double> e = uniform<double>(size_t(shape.size()), .1, 1, 7);
  const ObjectTables tables =
      object_tables({}, Tensor::from<int32_t>({}, {2, 5, 6}, block_labels({2, 5, 6}, 5, 8)), 4, 2);
  for (const kernels::EmbeddingLossOptions& o : all_options)
    check_gradient([&](Tape& t, std::vector<Var>& in) { return embedding_loss(t, in[0], tables, o).total; }, {shape},
                   {e}, 1e-6, 1e-8);
  // A row of objects without background, each with one or two neighbours.
  const ObjectTables row = object_tables({}, Tensor::from<int32_t>({}, {1, 1, 7}, {1, 1, 2, 3, 3, 3, 4}), 4, 1);
  const Shape of_row{1, 3, 1, 7};
  for (const kernels::EmbeddingLossOptions& o : all_options)
    check_gradient([&](Tape& t, std::vector<Var>& in) { return embedding_loss(t, in[0], row, o).total; }, {of_row},
                   {uniform<double>(21, -1, 1, 11)}, 1e-6, 1e-8);
  check_gradient(
      [&](Tape& t, std::vector<Var>& in) {  // one input, used three times
        const Var h = power_activation(t, in[0], alpha_of({}, 4)), u = unit_vectors(t, in[0]);
        return weighted_sum(t, {{embedding_loss(t, h, tables, kernels::fcrnet_loss).total, 1},
                                {embedding_loss(t, u, tables, kernels::wnet_loss).total, 2},
                                {embedding_loss(t, in[0], tables, kernels::fcrnet_loss).total, -.5}});
      },
      {shape}, {e}, 1e-6, 1e-7);
}

TEST_CASE("embedding loss: the same bits with any number of threads; the same gradient on every device") {
  const int before = omp_get_max_threads();
  const Shape shape{2, 4, 67, 131};
  const std::vector<float> e = uniform<float>(size_t(shape.size()), -1, 1, 9);
  const std::vector<int32_t> labels = block_labels({2, 67, 131}, 30, 10);
  std::vector<std::vector<float>> want;
  for (Exec exec : execs())
    for (const int threads : {1, 2, 5}) {
      omp_set_num_threads(threads);
      exec.deterministic = threads != 2;
      const ObjectTables tables = object_tables(exec, Tensor::from<int32_t>(exec, {2, 67, 131}, labels), 25);
      Tape tape(exec);
      const Var in = tape.leaf(Tensor::from(exec, shape, e));
      const Var h = power_activation(tape, in, alpha_of(exec, 6));
      const EmbeddingLoss loss = embedding_loss(tape, h, tables, kernels::fcrnet_loss);
      tape.backward(loss.total, Tensor::from<float>(exec, {1}, {1}));
      const std::vector<std::vector<float>> got{loss.total.value.to_host<float>(exec),
                                                tape.grad(in).to_host<float>(exec)};
      if (want.empty()) want = got;
      if (exec.device == Device::cpu)
        CHECK(got == want);
      else
        for (size_t k = 0; k < 2; ++k)
          check_close(got[k], want[k], 1e-7, 1e-4);
    }
  omp_set_num_threads(before);
}

TEST_CASE("embedding loss: NaN reaches the loss, and mismatched shapes are refused") {
  const Exec cpu;
  const ObjectTables tables = object_tables(cpu, Tensor::from<int32_t>(cpu, {1, 1, 2}, {1, 0}), 3);
  Tape tape(cpu);
  const auto loss = [&](Shape shape, std::vector<float> e) {
    return embedding_loss(tape, {Tensor::from<float>(cpu, shape, e)}, tables, kernels::wnet_loss)
        .total.value.to_host<float>(cpu)[0];
  };
  CHECK(std::isnan(loss({1, 1, 1, 2}, {std::numeric_limits<float>::quiet_NaN(), 1})));
  CHECK_THROWS_AS(loss({1, 1, 2, 1}, {1, 1}), Error);
  CHECK_THROWS_AS(loss({2, 1, 1, 1}, {1, 1}), Error);
}

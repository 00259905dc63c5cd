#include <omp.h>

#include "engine/ops/loss.h"
#include "kernels/nn/losses.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

template <class T>
double number(const Exec& exec, const Var& v) {
  return double(v.value.to_host<T>(exec).at(0));
}

/// Logit of p.
double logit_of(double p) { return std::log(p / (1 - p)); }

std::vector<double> random_mask(size_t n, unsigned seed) {
  std::vector<double> mask = uniform<double>(n, 0, 1, seed);
  for (double& m : mask)
    m = m > 0.6;
  return mask;
}

}  // namespace

TEST_CASE("losses: Tversky values by hand") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var z{Tensor::from<double>(exec, {1, 1, 2, 2}, {logit_of(.9), logit_of(.2), logit_of(.7), logit_of(.4)})};
    const Tensor y = Tensor::from<double>(exec, {1, 1, 2, 2}, {1, 0, 1, 1});
    CHECK(number<double>(exec, tversky_loss(tape, z, y, .5, .5)) == doctest::Approx(.2307692).epsilon(1e-6));
    CHECK(number<double>(exec, tversky_loss(tape, z, y, .55, .45)) == doctest::Approx(.21875).epsilon(1e-6));
  }
}

TEST_CASE("losses: the Tversky loss of an empty mask is 0 and has no gradient") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var z = tape.leaf(Tensor::from<float>(exec, {2, 1, 1, 2}, {1, -2, 3, 0}));
    const Var loss = tversky_loss(tape, z, Tensor::zeros(exec, {2, 1, 1, 2}));
    CHECK(number<float>(exec, loss) == 0);
    tape.backward(loss, Tensor::from<float>(exec, {1}, {1}));
    CHECK(tape.grad(z).to_host<float>(exec) == std::vector<float>(4, 0.f));
  }
}

TEST_CASE("losses: a sample without foreground does not disable the Tversky loss of the batch") {
  const Exec cpu;
  Tape tape(cpu);
  const Var z{Tensor::from<double>(cpu, {2, 1, 1, 1}, {0, 0})};
  const Tensor y = Tensor::from<double>(cpu, {2, 1, 1, 1}, {1, 0});
  CHECK(number<double>(cpu, tversky_loss(tape, z, y, .5, .5)) == doctest::Approx(.5));  // I = FP = FN = 1/2
}

TEST_CASE("losses: mean squared error and cross-entropy values by hand") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var p{Tensor::from<float>(exec, {1, 2, 1, 2}, {1, 2, 3, 4})};
    CHECK(number<float>(exec, mse_loss(tape, p, Tensor::from<float>(exec, {1, 2, 1, 2}, {1, 0, 3, 1}))) == 13 / 4.f);
    const Var z{Tensor::from<double>(exec, {1, 1, 1, 2}, {logit_of(.9), logit_of(.2)})};
    CHECK(number<double>(exec, bce_loss(tape, z, Tensor::from<double>(exec, {1, 1, 1, 2}, {1, 0}))) ==
          doctest::Approx(-(std::log(.9) + std::log(.8)) / 2));
  }
}

TEST_CASE("losses: large logits neither overflow nor lose the smaller probability") {
  for (const Exec& exec : execs()) {
    Tape tape(exec);
    const Var z = tape.leaf(Tensor::from<float>(exec, {1, 1, 2, 2}, {200, -200, -200, 200}));
    const Tensor y = Tensor::from<float>(exec, {1, 1, 2, 2}, {1, 0, 1, 0});
    const Var tversky = tversky_loss(tape, z, y), bce = bce_loss(tape, z, y);
    CHECK(number<float>(exec, tversky) == doctest::Approx(.5));
    CHECK(number<float>(exec, bce) == doctest::Approx(100));
    tape.backward(weighted_sum(tape, {{tversky, 1}, {bce, 4}}), Tensor::from<float>(exec, {1}, {1}));
    check_close<float>(tape.grad(z).to_host<float>(exec), {0, 0, -1, 1}, 1e-6, 1e-6);
    Tape again(exec);
    const Var tiny = again.leaf(Tensor::from<float>(exec, {1, 1, 1, 2}, {-30, 20}));
    again.backward(tversky_loss(again, tiny, Tensor::from<float>(exec, {1, 1, 1, 2}, {1, 1})),
                   Tensor::from<float>(exec, {1}, {1}));
    // I = s(20), denominator (I + 2) / 2: d/dp = -4 / (I + 2)^2, times p q of each
    const double slope = -4 / 9.0;
    check_close<float>(again.grad(tiny).to_host<float>(exec),
                       {float(slope * std::exp(-30.0)), float(slope * std::exp(-20.0))}, 0, 1e-5);
  }
}

TEST_CASE("losses: gradients in double") {
  const Exec cpu;
  const Shape shape{2, 1, 3, 5};
  const Tensor mask = Tensor::from(cpu, shape, random_mask(30, 1));
  const std::vector<double> z = uniform<double>(30, -3, 3, 2);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return tversky_loss(t, in[0], mask, .55, .45); }, {shape}, {z},
                 1e-5, 1e-8);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return tversky_loss(t, in[0], mask, .2, .9); }, {shape}, {z},
                 1e-5, 1e-8);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return bce_loss(t, in[0], mask); }, {shape}, {z}, 1e-5, 1e-8);
  check_gradient([&](Tape& t, std::vector<Var>& in) { return mse_loss(t, in[0], mask); }, {shape}, {z}, 1e-5, 1e-8);
  check_gradient(
      [&](Tape& t, std::vector<Var>& in) {  // one input, used by three losses, one of which is a term twice
        const Var m = mse_loss(t, in[0], mask);
        return weighted_sum(t, {{m, .5}, {tversky_loss(t, in[0], mask), 2}, {m, .25}, {bce_loss(t, in[0], mask), -3}});
      },
      {shape}, {z}, 1e-5, 1e-8);
}

TEST_CASE("losses: the gradient of a Tversky loss whose denominator is below its floor") {
  const Exec cpu;
  const Shape shape{1, 1, 1, 2};
  const Tensor mask = Tensor::from<double>(cpu, shape, {1, 0});
  check_gradient([&](Tape& t, std::vector<Var>& in) { return tversky_loss(t, in[0], mask, 0, 0); }, {shape},
                 {{-20, -20.5}}, 1e-4, 1e-7);
}

TEST_CASE("losses: the same bits with any number of threads, on awkward sizes") {
  const Exec cpu;
  const int before = omp_get_max_threads();
  for (const Shape shape : {Shape{1, 1, 1, 1}, Shape{3, 2, 61, 67}, Shape{1, 2, 64, 64}}) {
    const size_t n = size_t(shape.size());
    const std::vector<float> p = uniform<float>(n, -4, 4, 3), y = uniform<float>(n, 0, 1, 4);
    std::vector<std::vector<float>> want;
    for (int threads : {1, 2, 7}) {
      omp_set_num_threads(threads);
      Tape tape(cpu);
      const Var in = tape.leaf(Tensor::from(cpu, shape, p));
      const Tensor truth = Tensor::from(cpu, shape, y);
      const Var total = weighted_sum(
          tape, {{mse_loss(tape, in, truth), 1}, {tversky_loss(tape, in, truth), 1}, {bce_loss(tape, in, truth), 1}});
      tape.backward(total, Tensor::from<float>(cpu, {1}, {1}));
      const std::vector<std::vector<float>> got{total.value.to_host<float>(cpu), tape.grad(in).to_host<float>(cpu)};
      if (want.empty()) want = got;
      CHECK(got == want);
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("losses: sums equal the plain path's to the last bit, and NaN reaches the loss") {
  Exec plain;
  plain.variant = Variant::plain;
  const Exec cpu;
  std::vector<float> p = uniform<float>(2 * 5003, -2, 2, 5), y = uniform<float>(2 * 5003, -2, 2, 6);
  std::vector<double> value;
  for (const Exec& exec : {cpu, plain}) {
    Tape tape(exec);
    value.push_back(number<float>(
        exec, mse_loss(tape, {Tensor::from(exec, {1, 2, 1, 5003}, p)}, Tensor::from(exec, {1, 2, 1, 5003}, y))));
  }
  CHECK(value[0] == value[1]);
  double want = 0;
  for (size_t i = 0; i < p.size(); ++i)
    want += (double(p[i]) - double(y[i])) * (double(p[i]) - double(y[i])) / double(p.size());
  CHECK(value[0] == doctest::Approx(want).epsilon(1e-7));
  p[4711] = NAN;
  Tape tape(cpu);
  CHECK(std::isnan(number<float>(
      cpu, mse_loss(tape, {Tensor::from(cpu, {1, 2, 1, 5003}, p)}, Tensor::from(cpu, {1, 2, 1, 5003}, y)))));
  for (float mask : {0.f, 1.f})
    CHECK(std::isnan(
        number<float>(cpu, tversky_loss(tape, {Tensor::from(cpu, {1, 2, 1, 5003}, p)},
                                        Tensor::from(cpu, {1, 2, 1, 5003}, std::vector<float>(p.size(), mask))))));
}

TEST_CASE("losses: mismatched shapes and types are refused") {
  const Exec cpu;
  Tape tape(cpu);
  const Var a{Tensor::zeros(cpu, {1, 2, 3, 4})};
  CHECK_THROWS_AS(mse_loss(tape, a, Tensor::zeros(cpu, {1, 2, 4, 3})), Error);
  CHECK_THROWS_AS(tversky_loss(tape, a, Tensor::zeros(cpu, {2, 1, 3, 4})), Error);
  CHECK_THROWS_AS(bce_loss(tape, a, Tensor::zeros(cpu, {1, 2, 3, 4}, DType::f64)), Error);
  CHECK_THROWS_AS(weighted_sum(tape, {}), Error);
}

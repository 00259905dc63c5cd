#include <limits>

#include "kernels/nn/adam.h"
#include "kernels/nn/training_step.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;

namespace {

/// Adam for one parameter, in double on the host; returns the parameter's value after each gradient.
std::vector<double> by_hand(const kernels::AdamOptions& o, double value, const std::vector<double>& gradients,
                            double rate) {
  std::vector<double> values;
  double m = 0, v = 0;
  for (size_t t = 1; t <= gradients.size(); ++t) {
    const double g = gradients[t - 1] + o.weight_decay * value;
    m = o.beta1 * m + (1 - o.beta1) * g;
    v = o.beta2 * v + (1 - o.beta2) * g * g;
    const double m_hat = m / (1 - std::pow(o.beta1, t)), v_hat = v / (1 - std::pow(o.beta2, t));
    // "epsilon hat" of Kingma and Ba, section 2: epsilon is added to the root of the uncorrected second moment.
    value -= o.epsilon_inside ? rate * std::sqrt(1 - std::pow(o.beta2, t)) / (1 - std::pow(o.beta1, t)) * m /
                                    (std::sqrt(v) + o.epsilon)
                              : rate * m_hat / (std::sqrt(v_hat) + o.epsilon);
    values.push_back(value);
  }
  return values;
}

/// The kernel on 9,000 parameters (more than two of its chunks), all with the same start value and gradient.
struct Many {
  static constexpr int64_t n = 9000;
  Exec exec;
  Tensor value, m, v, gradient, state;

  Many(const Exec& e, double start)
      : exec(e),
        value(Tensor::from(e, {n}, std::vector<double>(n, start))),
        m(Tensor::zeros(e, {n}, DType::f64)),
        v(Tensor::zeros(e, {n}, DType::f64)),
        state(Tensor::empty(e, {int64_t(sizeof(StepState))}, DType::u8)) {
    const StepState fresh;
    state.copy_from_host(e, &fresh);
  }
  std::vector<double> step(const kernels::AdamOptions& o, int64_t step, double g, double rate) {
    gradient = Tensor::from(exec, {n}, std::vector<double>(n, g));
    auto* s = static_cast<StepState*>(state.raw());
    kernels::begin_step(exec, {.step = step, .rate = float(rate)}, s);
    kernels::note_bad<double>(exec, gradient.data<const double>(), 1, s);
    kernels::adam<double>(exec, o, s, gradient.view<const double, 1>(), value.view<double, 1>(), m.view<double, 1>(),
                          v.view<double, 1>());
    return value.to_host<double>(exec);
  }
};

}  // namespace

TEST_CASE("adam: the steps of every parameter equal those worked out by hand") {
  const std::vector<double> gradients{0.5, -0.25, 2, 1e-9, 0};
  const double start = 0.75, rate = 0.125;
  for (const kernels::AdamOptions& o :
       {kernels::AdamOptions{}, kernels::AdamOptions{.epsilon = 0.1}, kernels::AdamOptions{.weight_decay = 0.3},
        kernels::AdamOptions{.epsilon = 0.1, .epsilon_inside = true}}) {
    const std::vector<double> want = by_hand(o, start, gradients, rate);
    for (const Exec& exec : execs()) {
      Many many(exec, start);
      for (size_t t = 0; t < gradients.size(); ++t) {
        const std::vector<double> got = many.step(o, int64_t(t), gradients[t], rate);
        check_close(got, std::vector<double>(got.size(), want[t]), 1e-12, 0);
      }
    }
  }
}

TEST_CASE("adam: the first step is the rate times the negative sign of the gradient, whatever its size") {
  for (const Exec& exec : execs())
    for (const double g : {1e-3, -4e5}) {
      Many many(exec, 0);
      CHECK(many.step({}, 0, g, 0.25)[0] == doctest::Approx(g > 0 ? -0.25 : 0.25).epsilon(1e-4));
    }
}

TEST_CASE("adam: late steps use the exact bias correction, 1 - beta^t") {
  for (const Exec& exec : execs())
    for (const int64_t t : {1000, 4095, 100000}) {
      const kernels::AdamOptions o;
      const double g = 0.5, mean = (1 - o.beta1) * g / (1 - std::pow(o.beta1, double(t)));
      const double square = (1 - o.beta2) * g * g / (1 - std::pow(o.beta2, double(t)));
      Many many(exec, 0);
      CHECK(many.step(o, t - 1, g, 0.25)[0] ==
            doctest::Approx(-0.25 * mean / (std::sqrt(square) + o.epsilon)).epsilon(1e-12));
    }
}

TEST_CASE("adam: after a gradient with NaN or inf no parameter changes, and the first such step is recorded") {
  for (const Exec& exec : execs())
    for (const double bad : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      Many many(exec, 1);
      const std::vector<double> before = many.step({}, 0, 1, 0.1);
      CHECK(many.step({}, 1, bad, 0.1) == before);
      CHECK(many.step({}, 2, 1, 0.1) == before);
      StepState state;
      many.state.copy_to_host(exec, &state);
      CHECK(state.first_bad == 1);
    }
}

TEST_CASE("clipping: a gradient longer than the norm is scaled to it; a shorter one, NaN and infinity stay") {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  for (const Exec& exec : execs()) {
    const auto clipped = [&](double norm, const std::vector<float>& values) {
      const Tensor gradient = Tensor::from(exec, {int64_t(values.size())}, values);
      kernels::clip_to_norm(exec, norm, gradient.view<float, 1>());
      return gradient.to_host<float>(exec);
    };
    CHECK(clipped(5, {3, -4}) == std::vector<float>{3, -4});
    CHECK(clipped(2.5, {3, -4}) == std::vector<float>{1.5f, -2});
    CHECK(clipped(1, {0, 0}) == std::vector<float>{0, 0});
    CHECK(clipped(1, {2, infinite}) == std::vector<float>{2, infinite});
    const std::vector<float> with_nan = clipped(1, {2, nan});
    CHECK(with_nan[0] == 2);
    CHECK(std::isnan(with_nan[1]));
  }
}

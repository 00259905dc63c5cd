#include <omp.h>

#include <algorithm>

#include "engine/ops/loss.h"
#include "kernels/flow/ivp_rows.h"
#include "tests/support/gpu_support.h"

using namespace basin;
using namespace basin::test;
using kernels::IvpOptions;

namespace {

/// The loss by its definition, in double, sharing no code with the kernels.
double naive_loss(const std::vector<double>& predicted, const std::vector<double>& truth, Shape shape,
                  IvpOptions options) {
  const int n = shape[0], h = shape[2], w = shape[3];
  auto sample = [&](const std::vector<double>& field, int image, int component, double x, double y) {
    x = std::min(std::max(x, 0.0), w - 1.0);
    y = std::min(std::max(y, 0.0), h - 1.0);
    const double a = x - std::floor(x), b = y - std::floor(y);
    auto at = [&](double row, double column) {
      return field[size_t(((image * 2 + component) * h + int(row)) * w + int(column))];
    };
    return (1 - b) * ((1 - a) * at(std::floor(y), std::floor(x)) + a * at(std::floor(y), std::ceil(x))) +
           b * ((1 - a) * at(std::ceil(y), std::floor(x)) + a * at(std::ceil(y), std::ceil(x)));
  };
  double sum = 0;
  for (int image = 0; image < n; ++image)
    for (int row = 0; row < h; ++row)
      for (int column = 0; column < w; ++column) {
        double px = column, py = row, qx = column, qy = row;
        for (int m = 0; m < options.steps; ++m) {
          const double fx = sample(predicted, image, 0, px, py), fy = sample(predicted, image, 1, px, py);
          const double gx = sample(truth, image, 0, qx, qy), gy = sample(truth, image, 1, qx, qy);
          px += options.step * fx, py += options.step * fy, qx += options.step * gx, qy += options.step * gy;
          sum += (px - qx) * (px - qx) + (py - qy) * (py - qy);
        }
      }
  return sum / (double(options.steps) * 2 * n * h * w);
}

struct Result {
  std::vector<double> value, gradient;
};
template <class T>
Result run(const Exec& exec, Shape shape, const std::vector<double>& predicted, const std::vector<double>& truth,
           IvpOptions options) {
  const std::vector<T> p(predicted.begin(), predicted.end()), t(truth.begin(), truth.end());
  Tape tape(exec);
  const Var in = tape.leaf(Tensor::from(exec, shape, p));
  const Var loss = ivp_loss(tape, in, Tensor::from(exec, shape, t), options);
  tape.backward(loss, Tensor::from<T>(exec, {1}, {T(1)}));
  const std::vector<T> v = loss.value.to_host<T>(exec), g = tape.grad(in).template to_host<T>(exec);
  return {{v.begin(), v.end()}, {g.begin(), g.end()}};
}

}  // namespace

TEST_CASE("ivp: steps through a linear field by hand") {
  // V_x = x / 2 on pixels 0..2 in a row: from x = 1 with h = 1/4 to 1.125 and 1.265625; the target field is 0.
  for (Exec exec : execs())
    for (Variant variant : {Variant::automatic, Variant::plain}) {
      exec.variant = variant;
      const Result r = run<double>(exec, {1, 2, 1, 3}, {0, .5, 1, 0, 0, 0}, std::vector<double>(6, 0), {.25, 2});
      // Displacements from 0: 0, 0; from 1: .125, .265625; from 2: .25, .5, because V beyond the last pixel is 1.
      const double sum = .125 * .125 + .265625 * .265625 + .25 * .25 + .5 * .5;
      CHECK(r.value[0] == doctest::Approx(sum / 12).epsilon(1e-12));
      // c = 1/6. Pixel 1: A2 = c .265625, A1 = c .125 + A2 (1 + .25 * .5); .25 A1 goes to pixel 1 itself, and .25 A2,
      // of the second step at 1.125, 7/8 to pixel 1 and 1/8 to pixel 2. Pixel 2: A2 = c .5, A1 = c .25 + A2.
      const double c = 1 / 6.0, a2 = c * .265625, a1 = c * .125 + a2 * 1.125, b2 = c * .5, b1 = c * .25 + b2;
      check_close<double>(r.gradient, {0, .25 * (a1 + a2 * .875), .25 * (a2 * .125 + b1 + b2), 0, 0, 0}, 1e-14, 1e-12);
    }
}

TEST_CASE("ivp: equal fields give a loss of 0, and a one-pixel image has the value worked out by hand") {
  for (const Exec& exec : execs()) {
    const std::vector<double> field = uniform<double>(2 * 2 * 5 * 7, -3, 3, 1);
    const Result same = run<float>(exec, {2, 2, 5, 7}, field, field, {});
    CHECK(same.value[0] == 0);
    CHECK(same.gradient == std::vector<double>(field.size(), 0));
    const Result one = run<double>(exec, {1, 2, 1, 1}, {2, -1}, {0, 0}, {.5, 2});  // steps to 1, 2 and -.5, -1
    CHECK(one.value[0] == doctest::Approx((1 + 4 + .25 + 1) / 4));
    check_close<double>(one.gradient, {.5 * (.5 * (1 + 2) + .5 * 2), -.5 * (.5 * (.5 + 1) + .5)}, 1e-14, 1e-14);
  }
}

TEST_CASE("ivp: value and gradient match a naive loss in double") {
  const Exec cpu;
  for (const Exec& exec : {cpu, plain_exec()})
    for (double size : {.7, 6.0})  // 6: trajectories cross and leave the image
      for (const Shape shape : {Shape{2, 2, 6, 9}, Shape{1, 2, 23, 4}, Shape{1, 2, 3, 70}}) {
        std::vector<double> p = uniform<double>(size_t(shape.size()), -size, size, 11);
        const std::vector<double> t = uniform<double>(size_t(shape.size()), -size, size, 12);
        const IvpOptions options{.31, 5};
        const Result got = run<double>(exec, shape, p, t, options);
        CHECK(got.value[0] == doctest::Approx(naive_loss(p, t, shape, options)).epsilon(1e-12));
        std::vector<double> numeric(p.size());
        for (size_t i = 0; i < p.size(); ++i) {
          const double x = p[i], step = 1e-6;
          p[i] = x + step;
          const double up = naive_loss(p, t, shape, options);
          p[i] = x - step;
          numeric[i] = (up - naive_loss(p, t, shape, options)) / (2 * step);
          p[i] = x;
        }
        check_close(got.gradient, numeric, 2e-7, 1e-5);
      }
}

TEST_CASE("ivp: the row-wise and plain paths agree for weak and strong fields") {
  for (double size : {0.0, .5, 3.0, 40.0, 1e4})
    for (const Shape shape : {Shape{2, 2, 70, 33}, Shape{1, 2, 129, 65}, Shape{1, 2, 1, 200}, Shape{3, 2, 50, 1}}) {
      std::vector<double> p = uniform<double>(size_t(shape.size()), -size, size, 21);
      const std::vector<double> t = uniform<double>(size_t(shape.size()), -2, 2, 22);
      if (size == 3.0) p[0] = 500;  // a single pixel with a huge vector
      const Result rows = run<double>(Exec{}, shape, p, t, {}), want = run<double>(plain_exec(), shape, p, t, {});
      CHECK(rows.value[0] == doctest::Approx(want.value[0]).epsilon(1e-12));
      double largest = 0;
      for (double g : want.gradient)
        largest = std::max(largest, std::abs(g));
      check_close(rows.gradient, want.gradient, 1e-13 * largest, 1e-10);
    }
}

TEST_CASE("ivp: float32 agrees with float64") {
  for (const Exec& exec : execs()) {
    const Shape shape{2, 2, 48, 64};
    const std::vector<double> p = uniform<double>(size_t(shape.size()), -1, 1, 31);
    const std::vector<double> t = uniform<double>(size_t(shape.size()), -1, 1, 32);
    const Result got = run<float>(exec, shape, p, t, {}), want = run<double>(plain_exec(), shape, p, t, {});
    CHECK(got.value[0] == doctest::Approx(want.value[0]).epsilon(1e-5));
    double error = 0, norm = 0;
    for (size_t i = 0; i < p.size(); ++i) {
      error += (got.gradient[i] - want.gradient[i]) * (got.gradient[i] - want.gradient[i]);
      norm += want.gradient[i] * want.gradient[i];
    }
    CHECK(error < 1e-8 * norm);
  }
}

TEST_CASE("ivp: the same bits with any number of threads") {
  const Exec cpu;
  const int before = omp_get_max_threads();
  const Shape shape{2, 2, 150, 90};
  for (double size : {1.0, 8.0, 300.0}) {
    const std::vector<double> p = uniform<double>(size_t(shape.size()), -size, size, 41);
    const std::vector<double> t = uniform<double>(size_t(shape.size()), -2, 2, 42);
    std::vector<double> want;
    for (int threads : {1, 2, 7}) {
      omp_set_num_threads(threads);
      const Result r = run<float>(cpu, shape, p, t, {});
      if (want.empty()) want = r.gradient;
      CHECK(r.gradient == want);
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("ivp: a deterministic GPU run gives the same bits twice" * skip_without_gpu()) {
  for (Exec exec : execs()) {
    if (exec.device == Device::cpu) continue;
    exec.deterministic = true;
    const Shape shape{2, 2, 64, 64};
    const std::vector<double> p = uniform<double>(size_t(shape.size()), -1, 1, 51);
    const std::vector<double> t = uniform<double>(size_t(shape.size()), -1, 1, 52);
    const Result once = run<float>(exec, shape, p, t, {}), twice = run<float>(exec, shape, p, t, {});
    CHECK(once.gradient == twice.gradient);
    const Result want = run<double>(plain_exec(), shape, p, t, {});
    check_close(once.gradient, want.gradient, 1e-8, 1e-2);
  }
}

TEST_CASE("ivp: a deterministic GPU run adds the gradients of all pixels into one pixel" * skip_without_gpu()) {
  // Every trajectory leaves the image at its first corner, so that all gradients are added to that pixel.
  const Shape shape{1, 2, 64, 64};
  for (Exec exec : execs()) {
    if (exec.device == Device::cpu) continue;
    exec.deterministic = true;
    for (const double size : {10., 3000.}) {
      const std::vector<double> p(size_t(shape.size()), -size), t(size_t(shape.size()), 0.);
      const Result got = run<float>(exec, shape, p, t, {}), want = run<double>(plain_exec(), shape, p, t, {});
      check_close(got.gradient, want.gradient, 1e-4 * std::abs(want.gradient[0]), 1e-4);
    }
    // A value that is too large for fixed point is detected.
    const std::vector<double> p(size_t(shape.size()), -1e7), t(size_t(shape.size()), 0.);
    for (const double g : run<float>(exec, shape, p, t, {}).gradient)
      REQUIRE(std::isnan(g));
  }
}

TEST_CASE("ivp: fields with NaN, inf and huge values give a loss that is not finite, never a crash") {
  for (const Exec& exec : execs())
    for (float bad : {NAN, INFINITY, -INFINITY, 1e38f}) {
      const Shape shape{2, 2, 40, 20};
      std::vector<double> p = uniform<double>(size_t(shape.size()), -1, 1, 61), t(p);
      p[77] = double(bad);
      p[size_t(shape.size()) - 3] = double(bad);
      CHECK_FALSE(std::isfinite(run<float>(exec, shape, p, t, {}).value[0]));
      CHECK_FALSE(std::isfinite(run<float>(exec, shape, t, p, {}).value[0]));
      const Result r = run<float>(exec, shape, p, t, {});
      const bool finite = std::all_of(r.gradient.begin(), r.gradient.end(), [](double g) { return std::isfinite(g); });
      CHECK_FALSE(finite);
    }
}

TEST_CASE("ivp: the gradient is scaled by the incoming gradient and accumulated") {
  const Exec cpu;
  const Shape shape{1, 2, 5, 6};
  const std::vector<double> p = uniform<double>(60, -1, 1, 71), t = uniform<double>(60, -1, 1, 72);
  const std::vector<double> once = run<double>(cpu, shape, p, t, {}).gradient;
  Tape tape(cpu);
  const Var in = tape.leaf(Tensor::from(cpu, shape, p));
  const Tensor truth = Tensor::from(cpu, shape, t);
  const Var a = ivp_loss(tape, in, truth, {}), b = ivp_loss(tape, in, truth, {});
  tape.backward(weighted_sum(tape, {{a, 3}, {b, -.5}}), Tensor::from<double>(cpu, {1}, {2}));
  std::vector<double> want(once);
  for (double& g : want)
    g *= 5;
  check_close(tape.grad(in).to_host<double>(cpu), want, 1e-15, 1e-12);
}

TEST_CASE("ivp: mismatched shapes are refused") {
  const Exec cpu;
  Tape tape(cpu);
  const Var a{Tensor::zeros(cpu, {1, 2, 3, 4})};
  CHECK_THROWS_AS(ivp_loss(tape, a, Tensor::zeros(cpu, {1, 2, 4, 3}), {}), Error);
  CHECK_THROWS_AS(ivp_loss(tape, {Tensor::zeros(cpu, {1, 3, 3, 4})}, Tensor::zeros(cpu, {1, 3, 3, 4}), {}), Error);
  CHECK_THROWS_AS(ivp_loss(tape, a, a.value, {.25, 0}), Error);
}

TEST_CASE("ivp: the bound on how many rows a trajectory can cross") {
  const Exec cpu;
  const int h = 100, w = 3;
  const auto reach = [&](double v_x, double v_y, double step, int steps) {
    std::vector<kernels::Vec2<double>> field(size_t(h * w), {v_x, 0});
    field[17].y = v_y;
    return kernels::ivp_reach<double>(cpu, {field.data(), field.data(), 1, h, w, step, steps, 1});
  };
  // The distance that all steps together can cover, one row for the second tap, and a margin for rounding.
  CHECK(reach(50, 0, 0.25, 8) == 2);
  CHECK(reach(0, 3, 0.25, 8) == 8);
  CHECK(reach(0, -3, 0.25, 8) == 8);
  CHECK(reach(0, 3, -0.25, 8) == 8);
  CHECK(reach(0, 3, 0.25, 4) == 5);
  CHECK(reach(0, 49.4, 0.25, 8) == h);
  CHECK(reach(0, 49, 0.25, 8) == 100);
  CHECK(reach(0, 48.9, 0.25, 8) == 99);
  CHECK(reach(0, NAN, 0.25, 8) == h);
  CHECK(reach(0, -INFINITY, 0.25, 8) == h);

  // Points that move as far as reach() allows, downwards and upwards.
  for (const double v_y : {11.9, -11.9}) {
    std::vector<kernels::Vec2<double>> field(size_t(h * w), {0, v_y});
    const int rows = kernels::ivp_reach<double>(cpu, {field.data(), field.data(), 1, h, w, 0.25, 8, 1});
    const double end = 50 + 8 * 0.25 * v_y;
    CHECK(std::ceil(end) - 50 <= rows);
    CHECK(50 - std::floor(end) <= rows);
  }
}

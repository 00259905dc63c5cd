#include <omp.h>

#include "kernels/flow/integrate.h"
#include "kernels/flow/solvers.h"
#include "kernels/runtime/isa.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using namespace basin::kernels;

namespace {

template <class T>
std::vector<T> moved(const Exec& exec, int h, int w, const std::vector<T>& field, const std::vector<T>& points,
                     const IntegrateOptions& options, const std::vector<uint8_t>& mask = {}) {
  const Tensor f = Tensor::from(exec, {2, h, w}, field);
  const Tensor p = Tensor::from(exec, {int64_t(points.size() / 2), 2}, points);
  const Tensor some = Tensor::from(exec, {int64_t(mask.size())}, mask);
  integrate<T>(exec, f.view<const T, 3>(), p.view<T, 2>(), options,
               mask.empty() ? View<const uint8_t, 1>() : some.view<const uint8_t, 1>());
  return p.to_host<T>(exec);
}

const Solver solvers[] = {Solver::euler, Solver::midpoint, Solver::rk4, Solver::dopri5};
const Interpolation interpolations[] = {Interpolation::bilinear, Interpolation::nearest};

/// All valid combinations of options.
std::vector<IntegrateOptions> all_integrations() {
  std::vector<IntegrateOptions> all;
  for (Interpolation interpolation : interpolations) {
    for (Solver solver : solvers)
      all.push_back({solver, interpolation, 0.2, 9, 1e-3, Suppression::none});
    for (Suppression suppression : {Suppression::paper, Suppression::omnipose})
      all.push_back({Solver::euler, interpolation, 0.5, 7, 1e-2, suppression});
  }
  return all;
}

/// The textbook solvers, in double, with the field interpolated by definition.
struct Naive {
  int h, w;
  std::vector<double> field;
  IntegrateOptions options;

  struct Point {
    double x, y;
    Point operator+(Point p) const { return {x + p.x, y + p.y}; }
    Point operator*(double s) const { return {s * x, s * y}; }
  };
  double at(int component, double x, double y) const { return field[size_t((component * h + int(y)) * w + int(x))]; }
  Point f(Point p) const {
    const double x = std::min(std::max(p.x, 0.0), w - 1.0), y = std::min(std::max(p.y, 0.0), h - 1.0);
    Point v{0, 0};
    for (int c = 0; c < 2; ++c) {
      double value;
      if (options.interpolation == Interpolation::nearest) {
        value = at(c, std::nearbyint(x), std::nearbyint(y));
      } else {
        const double a = x - std::floor(x), b = y - std::floor(y);
        value = (1 - b) * ((1 - a) * at(c, std::floor(x), std::floor(y)) + a * at(c, std::ceil(x), std::floor(y))) +
                b * ((1 - a) * at(c, std::floor(x), std::ceil(y)) + a * at(c, std::ceil(x), std::ceil(y)));
      }
      (c ? v.y : v.x) = value;
    }
    return v;
  }
  Point fixed(Point p) const {
    const double h = options.step;
    Point before = f(p);
    for (int n = 0; n < options.steps; ++n) {
      const Point k1 = f(p);
      if (options.suppression == Suppression::paper) {
        p = p + k1 * (h / (1 + n * h));
      } else if (options.suppression == Suppression::omnipose) {
        before = (k1 + before) * 0.5;
        p = p + before * (h / (1 + n * h));
      } else if (options.solver == Solver::euler) {
        p = p + k1 * h;
      } else if (options.solver == Solver::midpoint) {
        p = p + f(p + k1 * (h / 2)) * h;
      } else {
        const Point k2 = f(p + k1 * (h / 2)), k3 = f(p + k2 * (h / 2)), k4 = f(p + k3 * h);
        p = p + (k1 + k2 * 2 + k3 * 2 + k4) * (h / 6);
      }
    }
    return p;
  }
  Point adaptive(Point p) const {
    const double a[7][6] = {{},
                            {1. / 5},
                            {3. / 40, 9. / 40},
                            {44. / 45, -56. / 15, 32. / 9},
                            {19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
                            {9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
                            {35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84}};
    const double fourth[7] = {5179. / 57600, 0, 7571. / 16695, 393. / 640, -92097. / 339200, 187. / 2100, 1. / 40};
    const double end = options.step * options.steps;
    double t = 0, h = std::min(std::max(options.step, 1e-3), 1.0);
    for (int trial = 0; trial < 200 && t < end; ++trial) {
      const bool last = h >= end - t;
      const double tried = last ? end - t : h;
      Point k[7], to = p, low = p;
      for (int s = 0; s < 7; ++s) {
        to = p;
        for (int j = 0; j < s; ++j)
          to = to + k[j] * (tried * a[s][j]);
        k[s] = f(to);
        low = low + k[s] * (tried * fourth[s]);
      }
      const double error = std::max(std::abs(to.x - low.x), std::abs(to.y - low.y));
      if (error <= options.tolerance) {
        p = to;
        t += tried;
        if (last) break;
      }
      const double factor = error > 0 ? 0.9 * std::pow(options.tolerance / error, 0.2) : 5;
      h = std::min(std::max(tried * std::min(std::max(factor, 0.2), 5.0), 1e-3), 1.0);
    }
    return p;
  }
};

}  // namespace

TEST_CASE("integrate: one step worked out by hand") {
  // V_x = x / 2, V_y = 1 on a row of 4 pixels.
  const std::vector<double> field{0, .5, 1, 1.5, 1, 1, 1, 1}, start{1, 0};
  for (Exec exec : execs())
    for (Variant variant : {Variant::automatic, Variant::plain}) {
      exec.variant = variant;
      auto end = [&](Solver solver, Interpolation interpolation) {
        return moved<double>(exec, 1, 4, field, start, {solver, interpolation, 0.5, 1, 1, Suppression::none});
      };
      check_close<double>(end(Solver::euler, Interpolation::bilinear), {1.25, .5}, 0, 1e-15);
      check_close<double>(end(Solver::midpoint, Interpolation::bilinear), {1 + .5 * .5625, .5}, 0, 1e-15);
      const double k2 = .5 * (1 + .25 * .5), k3 = .5 * (1 + .25 * k2), k4 = .5 * (1 + .5 * k3);
      check_close<double>(end(Solver::rk4, Interpolation::bilinear), {1 + .5 / 6 * (.5 + 2 * k2 + 2 * k3 + k4), .5}, 0,
                          1e-15);
      check_close<double>(end(Solver::rk4, Interpolation::nearest), {1.25, .5}, 0, 1e-15);
    }
}

TEST_CASE("integrate: masked-out points stay, and the others move as without a mask") {
  const std::vector<float> field = uniform<float>(2 * 9 * 11, -2, 2, 1), points = uniform<float>(400, -2, 12, 2);
  std::vector<uint8_t> mask(200);
  for (size_t i = 0; i < mask.size(); ++i)
    mask[i] = i % 3 ? uint8_t(i) : uint8_t(0);
  for (const Exec& exec : execs())
    for (const IntegrateOptions& options : all_integrations()) {
      const std::vector<float> all = moved(exec, 9, 11, field, points, options);
      std::vector<float> want = points;
      for (size_t i = 0; i < points.size(); ++i)
        if (mask[i / 2]) want[i] = all[i];
      CHECK(want != points);
      CHECK(moved(exec, 9, 11, field, points, options, mask) == want);
    }
}

TEST_CASE("integrate: nearest-neighbour interpolation rounds halves to even and clamps at the border") {
  for (const Exec& exec : execs()) {
    const std::vector<float> field{10, 20, 30, 40, 50, 0, 0, 0, 0, 0};
    const IntegrateOptions one{Solver::euler, Interpolation::nearest, 1, 1, 1, Suppression::none};
    const std::vector<float> points{.5f, 0, 1.5f, 0, 2.5f, 0, 3.5f, 0, 1.4999f, 0, -7, 3, 99, -2};
    check_close<float>(moved<float>(exec, 1, 5, field, points, one),
                       {10.5f, 0, 31.5f, 0, 32.5f, 0, 53.5f, 0, 21.4999f, 0, 3, 3, 149, -2}, 0, 1e-7);
  }
}

TEST_CASE("integrate: suppression by hand") {
  for (const Exec& exec : execs()) {
    // V_x is 4 to the left of the middle and 2 to the right.
    const std::vector<double> field{4, 4, 4, 2, 2, 2, 0, 0, 0, 0, 0, 0};
    auto end = [&](Suppression suppression, int steps) {
      return moved<double>(exec, 1, 6, field, {0, 0}, {Solver::euler, Interpolation::nearest, 1, steps, 1, suppression})
          .at(0);
    };
    CHECK(end(Suppression::paper, 1) == 4);
    CHECK(end(Suppression::paper, 2) == 4 + 2 / 2.);
    CHECK(end(Suppression::paper, 3) == 4 + 2 / 2. + 2 / 3.);
    CHECK(end(Suppression::omnipose, 1) == 4);
    CHECK(end(Suppression::omnipose, 2) == 4 + 3 / 2.);
    CHECK(end(Suppression::omnipose, 3) == 4 + 3 / 2. + 2.5 / 3);
  }
}

TEST_CASE("integrate: every solver matches its textbook formula") {
  for (Exec exec : execs())
    for (Variant variant : {Variant::automatic, Variant::plain})
      for (const IntegrateOptions& options : all_integrations()) {
        exec.variant = variant;
        const int h = 11, w = 7, n = 700;
        const std::vector<double> field = uniform<double>(2 * h * w, -1.5, 1.5, 1);
        const std::vector<double> start = uniform<double>(2 * n, -3, 12, 2);
        const std::vector<double> got = moved<double>(exec, h, w, field, start, options);
        const Naive naive{h, w, field, options};
        std::vector<double> want;
        for (size_t i = 0; i < n; ++i) {
          const Naive::Point p{start[2 * i], start[2 * i + 1]};
          const Naive::Point q = options.solver == Solver::dopri5 ? naive.adaptive(p) : naive.fixed(p);
          want.push_back(q.x);
          want.push_back(q.y);
        }
        CAPTURE(int(options.solver));
        CAPTURE(int(options.interpolation));
        // Rounding may decide whether a trial step is accepted, and on which side of a kink a point ends.
        check_close(got, want, options.solver == Solver::dopri5 ? 1e-5 : 1e-9, 0);
      }
}

TEST_CASE("integrate: the chunked and plain paths give the same bits") {
  for (const IntegrateOptions& options : all_integrations())
    for (int n : {1, 63, 512, 1500}) {
      const std::vector<float> field = uniform<float>(2 * 33 * 65, -4, 4, 3);
      const std::vector<float> points = uniform<float>(size_t(2 * n), -9, 70, 4);
      CHECK(moved<float>(Exec{}, 33, 65, field, points, options) ==
            moved<float>(plain_exec(), 33, 65, field, points, options));
      const std::vector<double> field64(field.begin(), field.end()), points64(points.begin(), points.end());
      CHECK(moved<double>(Exec{}, 33, 65, field64, points64, options) ==
            moved<double>(plain_exec(), 33, 65, field64, points64, options));
    }
}

TEST_CASE("integrate: the same bits with any number of threads") {
  const int before = omp_get_max_threads();
  for (const IntegrateOptions& options : all_integrations()) {
    const std::vector<float> field = uniform<float>(2 * 50 * 40, -2, 2, 5), points = uniform<float>(2 * 5000, 0, 45, 6);
    std::vector<float> want;
    for (int threads : {1, 2, 7}) {
      omp_set_num_threads(threads);
      const std::vector<float> got = moved<float>(Exec{}, 50, 40, field, points, options);
      if (want.empty()) want = got;
      CHECK(got == want);
    }
  }
  omp_set_num_threads(before);
}

TEST_CASE("integrate: no points, one-pixel images and a zero field") {
  for (const Exec& exec : execs())
    for (const IntegrateOptions& options : all_integrations()) {
      CHECK(moved<float>(exec, 3, 4, std::vector<float>(24, 1), {}, options).empty());
      const std::vector<double> p = moved<double>(exec, 1, 1, {1, -2}, {5, 7}, options);
      const double way = (p[0] - 5) / (options.suppression == Suppression::none ? options.step * options.steps : 1);
      if (options.suppression == Suppression::none) CHECK(way == doctest::Approx(1));
      CHECK(p[1] - 7 == doctest::Approx(-2 * (p[0] - 5)));
      const std::vector<float> standing =
          moved<float>(exec, 2, 2, std::vector<float>(8, 0), {.25f, 1.75f, -8, 1e20f}, options);
      CHECK(standing == std::vector<float>{.25f, 1.75f, -8, 1e20f});
    }
}

TEST_CASE("integrate: points at NaN and inf stay there and do not affect other points") {
  for (const Exec& exec : execs())
    for (const IntegrateOptions& options : all_integrations()) {
      const std::vector<float> field = uniform<float>(2 * 9 * 9, -1, 1, 7);
      std::vector<float> points = uniform<float>(2 * 40, 0, 8, 8);
      const std::vector<float> want = moved<float>(exec, 9, 9, field, points, options);
      points[10] = NAN, points[20] = INFINITY, points[30] = -INFINITY, points[41] = 3e38f;
      const std::vector<float> got = moved<float>(exec, 9, 9, field, points, options);
      CHECK(std::isnan(got[10]));
      CHECK(got[20] == INFINITY);
      CHECK(got[30] == -INFINITY);
      for (size_t i = 0; i < got.size(); ++i)
        if (i / 2 != 5 && i / 2 != 10 && i / 2 != 15 && i / 2 != 20) CHECK(got[i] == want[i]);
      std::vector<float> torn(field);
      torn[5] = NAN, torn[100] = INFINITY;
      CHECK(moved<float>(exec, 9, 9, torn, points, options).size() == points.size());
    }
}

TEST_CASE("integrate: dopri5 follows a rotating field round a circle where Euler spirals outwards") {
  // A rotation about (20, 20): the distance to the centre is preserved.
  const Exec cpu;
  const int size = 41;
  std::vector<double> field(2 * size * size);
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      field[size_t(y * size + x)] = -(y - 20);
      field[size_t(size * size + y * size + x)] = x - 20;
    }
  const IntegrateOptions turn{Solver::dopri5, Interpolation::bilinear, M_PI / 25, 50, 1e-6, Suppression::none};
  const std::vector<double> p = moved<double>(cpu, size, size, field, {30, 20}, turn);
  CHECK(p[0] == doctest::Approx(30).epsilon(1e-5));
  CHECK(p[1] == doctest::Approx(20).epsilon(1e-5));
  IntegrateOptions euler = turn;
  euler.solver = Solver::euler;
  CHECK(moved<double>(cpu, size, size, field, {30, 20}, euler)[0] > 34);
}

TEST_CASE("integrate: the fifth root, used for step size control, is accurate") {
  for (double a = 1e-5; a < 1.01e5; a *= 1.0137) {
    CHECK(double(kernels::fifth_root(float(a))) == doctest::Approx(std::pow(double(float(a)), .2)).epsilon(3e-7));
    CHECK(kernels::fifth_root(a) == doctest::Approx(std::pow(a, .2)).epsilon(1e-13));
  }
}

TEST_CASE("integrate: dopri5 stops a point after 200 trials") {
  // In a constant field no trial is rejected, and none is longer than 1.
  for (Exec exec : execs())
    for (Variant variant : {Variant::automatic, Variant::plain}) {
      exec.variant = variant;
      const auto end = [&](double step, int steps, double v) {
        return moved<double>(exec, 1, 2, {v, v, 0, 0}, {0, 0}, {Solver::dopri5, Interpolation::bilinear, step, steps})
            .at(0);
      };
      CHECK(end(1, 199, 0.5) == doctest::Approx(0.5 * 199));
      CHECK(end(1, 200, 0.5) == doctest::Approx(0.5 * 200));
      CHECK(end(1, 201, 0.5) == doctest::Approx(0.5 * 200));
      CHECK(end(1, 1000000, -2) == doctest::Approx(-2 * 200));
      // The first trial step has the given length; each following one may be up to five times as long.
      CHECK(end(0.1, 1000000, 1) == doctest::Approx(0.1 + 0.5 + 198));
    }
}

TEST_CASE("integrate: invalid options and shapes are refused") {
  const Exec cpu;
  const std::vector<float> field(2 * 3 * 4, 0);
  CHECK_THROWS_AS(moved<float>(cpu, 3, 4, field, {0, 0}, {Solver::euler, Interpolation::bilinear, .1, -1}), Error);
  CHECK_THROWS_AS(
      moved<float>(cpu, 3, 4, field, {0, 0}, {Solver::rk4, Interpolation::bilinear, .1, 5, 1e-2, Suppression::paper}),
      Error);
  CHECK_THROWS_AS(moved<float>(cpu, 3, 4, field, {0, 0}, {Solver::dopri5, Interpolation::bilinear, .1, 5, 0}), Error);
  const Tensor three = Tensor::zeros(cpu, {3, 2, 2}), points = Tensor::zeros(cpu, {4, 2}),
               wide = Tensor::zeros(cpu, {4, 3});
  CHECK_THROWS_AS(integrate<float>(cpu, three.view<const float, 3>(), points.view<float, 2>()), Error);
  CHECK_THROWS_AS(integrate<float>(cpu, Tensor::zeros(cpu, {2, 2, 2}).view<const float, 3>(), wide.view<float, 2>()),
                  Error);
}

TEST_CASE("integrate: in a window of a field, points end where they do in the whole field, to the bit") {
  const int height = 90, width = 120;
  const std::vector<float> field = uniform<float>(size_t(2) * height * width, -1, 1, 8);
  std::vector<float> points;  // far from the window's sides, except at the image's right side
  for (int y = 35; y < 62; ++y)
    for (int x = 70; x < width; ++x)
      points.insert(points.end(), {float(x), float(y)});
  const int top = 20, left = 50, bottom = 80;
  std::vector<float> window;
  for (int c = 0; c < 2; ++c)
    for (int y = top; y < bottom; ++y)
      for (int x = left; x < width; ++x)
        window.push_back(field[size_t((c * height + y) * width + x)]);
  for (IntegrateOptions options : all_integrations()) {
    if (options.solver == Solver::dopri5) continue;  // its reach is larger than this field
    CHECK(reach(options, 1, width) < 15);
    for (Exec exec : execs())
      for (Variant variant : {Variant::automatic, Variant::plain}) {
        exec.variant = variant;
        const Tensor f = Tensor::from(exec, {2, bottom - top, width - left}, window);
        const Tensor p = Tensor::from(exec, {int64_t(points.size() / 2), 2}, points);
        integrate<float>(exec, f.view<const float, 3>(), p.view<float, 2>(), options, {}, {top, left, height, width});
        CHECK(p.to_host<float>(exec) == moved<float>(exec, height, width, field, points, options));
      }
  }
}

TEST_CASE("integrate: nothing outside a window of a field is read, wherever the window lies in the image") {
  // The place of the image's first pixel would be gigabytes before the window's memory.
  const int side = 40000, height = 80, width = 70, top = 39000, left = 20000;
  for (IntegrateOptions options : all_integrations()) {
    if (options.solver == Solver::dopri5) options.step = 0.01, options.steps = 1;
    const bool adaptive = options.solver == Solver::dopri5;
    const std::vector<float> field =
        uniform<float>(size_t(2) * height * width, adaptive ? -.1f : -1, adaptive ? .1f : 1, 3);
    for (Exec exec : execs())
      for (Variant variant : {Variant::automatic, Variant::plain}) {
        exec.variant = variant;
        const Tensor f = Tensor::from(exec, {2, height, width}, field);
        const Tensor p = Tensor::from(exec, {1, 2}, std::vector<float>{left + 35, top + 40});
        integrate<float>(exec, f.view<const float, 3>(), p.view<float, 2>(), options, {}, {top, left, side, side});
        const std::vector<float> end = p.to_host<float>(exec);
        CHECK(std::abs(end[0] - (left + 35)) < 15);
        CHECK(std::abs(end[1] - (top + 40)) < 15);
      }
  }
}

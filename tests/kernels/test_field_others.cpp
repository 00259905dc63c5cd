#include <algorithm>
#include <cmath>
#include <map>

#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/edt.h"
#include "kernels/field/omnipose_field.h"
#include "tests/support/field_support.h"

using namespace basin;
using namespace basin::kernels;
using namespace basin::test;

namespace {

Field affinity(const Exec& exec, const Grid& g, int kernel) {
  return run(exec, g,
             [=](const Exec& e, View<const int32_t, 2> l, View<float, 3> f) { affinity_field(e, l, kernel, f); });
}
Field centroid(const Exec& exec, const Grid& g, CentroidMode mode) {
  return run(exec, g,
             [=](const Exec& e, View<const int32_t, 2> l, View<float, 3> f) { centroid_field(e, l, mode, f); });
}
Field omnipose(const Exec& exec, const Grid& g) { return run(exec, g, omnipose_field); }

std::vector<int32_t> edt(const Exec& exec, const Grid& g) {
  const Tensor labels = Tensor::from(exec, {g.height, g.width}, g.ids);
  const Tensor squared = Tensor::empty(exec, {g.height, g.width}, DType::i32);
  edt_squared(exec, labels.view<int32_t, 2>(), squared.view<int32_t, 2>());
  return squared.to_host<int32_t>(exec);
}

std::vector<double> affinity_oracle(const Grid& g, int kernel) {
  const int r = kernel / 2;
  std::vector<double> field(g.ids.size() * 2);
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      const size_t at = size_t(y) * size_t(g.width) + size_t(x);
      for (int i = -r; i <= r; ++i)
        for (int j = -r; j <= r; ++j)
          if (g.ids[at] && g.at(y + i, x + j) == g.ids[at]) {
            field[at] += j == 0 ? 0 : std::copysign(.5 / kernel, j);
            field[at + g.ids.size()] += i == 0 ? 0 : std::copysign(.5 / kernel, i);
          }
    }
  return field;
}

std::vector<int32_t> edt_oracle(const Grid& g) {
  std::vector<int32_t> squared;
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      int32_t best = g.at(y, x) ? no_other_pixel : 0;
      for (int v = 0; v < g.height && best; ++v)
        for (int u = 0; u < g.width; ++u)
          if (g.at(v, u) != g.at(y, x)) best = std::min(best, (v - y) * (v - y) + (u - x) * (u - x));
      squared.push_back(best);
    }
  return squared;
}

std::vector<double> omnipose_oracle(const Grid& g) {
  const std::vector<int32_t> squared = edt_oracle(g);
  std::vector<double> field(g.ids.size() * 2);
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      const int32_t id = g.at(y, x);
      if (!id) continue;
      const auto phi = [&](int v, int u) { return std::sqrt(double(squared[size_t(v * g.width + u)])); };
      double d[2] = {};
      for (int axis = 0; axis < 2; ++axis) {
        const int j = axis == 0, i = axis == 1;
        const bool after = g.at(y + i, x + j) == id, before = g.at(y - i, x - j) == id;
        if (after && before) d[axis] = (phi(y + i, x + j) - phi(y - i, x - j)) / 2;
        if (after && !before) d[axis] = phi(y + i, x + j) - phi(y, x);
        if (!after && before) d[axis] = phi(y, x) - phi(y - i, x - j);
      }
      const double norm = std::hypot(d[0], d[1]);
      for (int axis = 0; axis < 2; ++axis)
        field[size_t((axis * g.height + y) * g.width + x)] = norm < 1e-12 ? 0 : d[axis] / norm;
    }
  return field;
}

std::vector<double> centroid_oracle(const Grid& g, CentroidMode mode) {
  struct Mean {
    double n = 0, x = 0, y = 0;
  };
  std::map<int32_t, Mean> means;
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      Mean& m = means[g.at(y, x)];
      m.n += 1, m.x += x, m.y += y;
    }
  std::vector<double> field(g.ids.size() * 2);
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      if (!g.at(y, x)) continue;
      const Mean& m = means[g.at(y, x)];
      const double d_x = m.x / m.n - x, d_y = m.y / m.n - y, norm = std::hypot(d_x, d_y);
      const double scale = mode == CentroidMode::unit ? std::min(1., norm) / std::max(norm, 1e-6) : 1;
      field[size_t(y * g.width + x)] = d_x * scale;
      field[size_t((g.height + y) * g.width + x)] = d_y * scale;
    }
  return field;
}

}  // namespace

TEST_CASE("field: affinity magnitudes next to a straight border") {
  const double want[] = {2.5, 2.0, 1.5, 1.0, .5, 0, 0};
  Grid g{30, 40, std::vector<int32_t>(30 * 40)};
  for (int y = 5; y < 30; ++y)
    std::fill_n(&g.ids[size_t(y * 40)], 40, 9);
  for (const Exec& exec : execs()) {
    const Field f = affinity(exec, g, 11);
    for (int depth = 1; depth <= 7; ++depth) {
      const size_t at = size_t((4 + depth) * 40 + 20);
      CHECK(f[at] == 0);
      CHECK(f[at + g.ids.size()] == doctest::Approx(want[depth - 1]));
    }
  }
}

TEST_CASE("field: affinity equals its definition and has the plain version's bits") {
  Exec plain;
  plain.variant = Variant::plain;
  const std::vector<Exec> all = execs();
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (int kernel : {3, 11, 19, 33}) {
      for (const Exec& exec : all)
        check_field(affinity(exec, g, kernel), affinity_oracle(g, kernel), 1e-6);
      CHECK(affinity({}, g, kernel) == affinity(plain, g, kernel));
    }
    check_symmetries(
        g, [](const Grid& l) { return affinity({}, l, 11); }, 0);
  }
  check_threads([] { return affinity({}, ellipses(200, 170, 60, 20, 8), 11); });
}

TEST_CASE("field: edt computes the exact distances of all labels at once") {
  const std::vector<Exec> all = execs();
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (const Exec& exec : all)
      CHECK(edt(exec, g) == edt_oracle(g));
  }
  const Grid wide = ellipses(40, 200, 6, 90, 21);
  CHECK(edt({}, wide) == edt_oracle(wide));
  CHECK(edt({}, grid({"..1111111.."})) == std::vector<int32_t>{0, 0, 1, 4, 9, 16, 9, 4, 1, 0, 0});
  CHECK(edt({}, grid({"1111222"})) == std::vector<int32_t>{16, 9, 4, 1, 1, 4, 9});
}

TEST_CASE("field: omnipose equals the unit gradient of the exact distance") {
  const std::vector<Exec> all = execs();
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (const Exec& exec : all)
      check_field(omnipose(exec, g), omnipose_oracle(g), 1e-6);
    check_symmetries(
        g, [](const Grid& l) { return omnipose({}, l); }, 1e-6);
  }
  check_threads([] { return omnipose({}, ellipses(200, 170, 60, 20, 8)); });
  const Field f = omnipose({}, grid({"......", ".1111.", "......"}));
  CHECK(f == Field(36));
  const Field bar = omnipose({}, grid({"..111111.."}));
  CHECK(std::vector<float>(bar.begin(), bar.begin() + 10) == std::vector<float>{0, 0, 1, 1, 1, -1, -1, -1, 0, 0});
}

TEST_CASE("field: centroid equals its definition in both modes") {
  const std::vector<Exec> all = execs();
  for (CentroidMode mode : {CentroidMode::unit, CentroidMode::displacement}) {
    for (const auto& [name, g] : awkward()) {
      CAPTURE(name);
      for (const Exec& exec : all)
        check_field(centroid(exec, g, mode), centroid_oracle(g, mode), 1e-5);
      check_symmetries(
          g, [=](const Grid& l) { return centroid({}, l, mode); }, 1e-5);
    }
    check_threads([=] { return centroid({}, ellipses(200, 170, 60, 20, 8), mode); });
    CHECK(centroid({}, grid({"...", ".5.", "..."}), mode) == Field(18));
  }
  const Field f = centroid({}, grid({"11111"}), CentroidMode::displacement);
  CHECK(f == Field{2, 1, 0, -1, -2, 0, 0, 0, 0, 0});
  const Field unit = centroid({}, grid({"1111.1"}), CentroidMode::unit);  // centroid 2.2
  CHECK(unit[0] == 1);
  CHECK(unit[2] == doctest::Approx(.2));
  CHECK(unit[5] == -1);
}

TEST_CASE("field: edt is exact along sides of any length, up to the largest distance it can represent") {
  constexpr int length = 60000;
  std::vector<int32_t> ids(length, 7);
  ids[0] = 0;
  for (const bool upright : {false, true})
    for (const Exec& exec : execs()) {
      CAPTURE(upright);
      const std::vector<int32_t> squared = edt(exec, upright ? Grid{length, 1, ids} : Grid{1, length, ids});
      for (const int at : {0, 1, 32767, 32768, 40000, 46340})
        CHECK(squared[size_t(at)] == at * at);
      for (const int at : {46341, 50000, length - 1})
        CHECK(squared[size_t(at)] == no_other_pixel - 1);
    }
}

TEST_CASE("field: wrong shapes and kernel sizes are refused") {
  std::vector<int32_t> ids(6);
  std::vector<float> out(12);
  const View<const int32_t, 2> labels{ids.data(), {2, 3}};
  const View<float, 3> wrong{out.data(), {2, 3, 2}}, right{out.data(), {2, 2, 3}};
  CHECK_THROWS_AS(affinity_field({}, labels, 11, wrong), Error);
  CHECK_THROWS_AS(affinity_field({}, labels, 10, right), Error);
  CHECK_THROWS_AS(affinity_field({}, labels, 1, right), Error);
  CHECK_THROWS_AS(affinity_field({}, labels, 65, right), Error);
  CHECK_THROWS_AS(omnipose_field({}, labels, wrong), Error);
  CHECK_THROWS_AS(centroid_field({}, labels, CentroidMode::unit, wrong), Error);
  CHECK_THROWS_AS(edt_squared({}, labels, {ids.data(), {3, 2}}), Error);
}

#include <omp.h>

#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "kernels/distance_field.h"
#include "tests/support.h"

using namespace basin;
using namespace basin::kernels;
using basin::test::check_close;
using basin::test::uniform;

namespace {

struct Grid {
  int height = 0, width = 0;
  std::vector<int32_t> ids;
  int32_t at(int y, int x) const {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : ids[size_t(y) * size_t(width) + size_t(x)];
  }
};

Grid grid(std::vector<std::string> rows) {
  Grid g{int(rows.size()), int(rows[0].size()), {}};
  for (const std::string& row : rows)
    for (char c : row)
      g.ids.push_back(c == '.' ? 0 : c - '0');
  return g;
}

/// Overlapping ellipses, the later on top, so that objects touch, are cut into pieces and reach over the border.
Grid ellipses(int height, int width, int count, double largest, unsigned seed) {
  Grid g{height, width, std::vector<int32_t>(size_t(height) * size_t(width))};
  const std::vector<double> u = uniform<double>(size_t(count) * 5, 0, 1, seed);
  for (int k = 0; k < count; ++k) {
    const double* v = &u[size_t(k) * 5];
    const double cx = v[0] * width, cy = v[1] * height, a = .5 + v[2] * largest, b = .5 + v[3] * largest,
                 t = v[4] * 3.14;
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        const double dx = (x - cx) * std::cos(t) + (y - cy) * std::sin(t);
        const double dy = (y - cy) * std::cos(t) - (x - cx) * std::sin(t);
        if (dx * dx / (a * a) + dy * dy / (b * b) <= 1) g.ids[size_t(y) * size_t(width) + size_t(x)] = 7 * k + 3;
      }
  }
  return g;
}

Grid noise(int height, int width, int ids, double filled, unsigned seed) {
  Grid g{height, width, {}};
  for (double u : uniform<double>(size_t(height) * size_t(width), 0, 1, seed))
    g.ids.push_back(u < filled ? 1 + int32_t(u / filled * ids) * 1000003 : 0);
  return g;
}

using Field = std::vector<float>;

template <class Launch>
Field run(const Exec& exec, const Grid& g, const Launch& launch) {
  const Tensor labels = Tensor::from(exec, {g.height, g.width}, g.ids);
  Tensor field = Tensor::from(exec, {2, g.height, g.width}, Field(g.ids.size() * 2, 99.f));
  launch(exec, labels.view<int32_t, 2>(), field.view<float, 3>());
  return field.to_host<float>(exec);
}

Field sdf(const Exec& exec, const Grid& g, const SdfFieldOptions& options = {}) {
  return run(exec, g, [&](const Exec& e, View<const int32_t, 2> l, View<float, 3> f) { sdf_field(e, l, options, f); });
}

/// The definition, one object at a time: crop, pad with zeros, edt(object) - edt(not object), cut off, convolve.
std::vector<double> sdf_oracle(const Grid& g, int truncate, int kernel) {
  const int r = kernel / 2;
  std::vector<double> field(g.ids.size() * 2);
  std::vector<double> weight;
  double sum = 0;
  for (int i = -r; i <= r; ++i)
    for (int j = -r; j <= r; ++j)
      sum += weight.emplace_back(std::exp(-(double(i * i + j * j) / (r * r)) / (2 * .5 * .5)));
  std::set<int32_t> ids(g.ids.begin(), g.ids.end());
  ids.erase(0);
  for (int32_t id : ids) {
    int top = g.height, left = g.width, bottom = 0, right = 0;
    for (int y = 0; y < g.height; ++y)
      for (int x = 0; x < g.width; ++x)
        if (g.at(y, x) == id) {
          top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x), right = std::max(right, x);
        }
    const int h = bottom - top + 1 + 2 * r, w = right - left + 1 + 2 * r;
    std::vector<std::pair<int, int>> on, off;
    const auto inside = [&](int y, int x) {
      return y >= r && y < h - r && x >= r && x < w - r && g.at(y - r + top, x - r + left) == id;
    };
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x)
        (inside(y, x) ? on : off).push_back({y, x});
    std::vector<double> d;
    for (int y = 0; y < h; ++y)
      for (int x = 0; x < w; ++x) {
        int best = 1 << 30;
        for (auto [v, u] : inside(y, x) ? off : on)
          best = std::min(best, (v - y) * (v - y) + (u - x) * (u - x));
        d.push_back(inside(y, x) ? std::min(std::sqrt(double(best)), double(truncate)) : -std::sqrt(double(best)));
      }
    for (auto [y, x] : on)
      for (int i = -r; i <= r; ++i)
        for (int j = -r; j <= r; ++j) {
          const double v = weight[size_t((i + r) * kernel + j + r)] / sum * d[size_t((y + i) * w + x + j)];
          const size_t at = size_t(y - r + top) * size_t(g.width) + size_t(x - r + left);
          field[at] += (j > 0) - (j < 0) ? v * ((j > 0) - (j < 0)) : 0;
          field[at + g.ids.size()] += (i > 0) - (i < 0) ? v * ((i > 0) - (i < 0)) : 0;
        }
  }
  return field;
}

void check_field(const Field& got, const std::vector<double>& want, double tolerance) {
  check_close(std::vector<double>(got.begin(), got.end()), want, tolerance, 0);
}

Grid flipped(const Grid& g, bool rows, bool columns) {
  Grid f = g;
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x)
      f.ids[size_t(y) * size_t(g.width) + size_t(x)] = g.at(rows ? g.height - 1 - y : y, columns ? g.width - 1 - x : x);
  return f;
}

/// A quarter turn against the clock: the pixel at (x, y) goes to (y, W - 1 - x).
Grid turned(const Grid& g) {
  Grid t{g.width, g.height, std::vector<int32_t>(g.ids.size())};
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x)
      t.ids[size_t(g.width - 1 - x) * size_t(t.width) + size_t(y)] = g.at(y, x);
  return t;
}

/// field(flip(L)) == signflip(flip(field(L))) for both flips, and the same for a quarter turn.
template <class Make>
void check_symmetries(const Grid& g, const Make& make, double tolerance) {
  const Field field = make(g);
  const size_t n = g.ids.size();
  const auto at = [&](int y, int x) { return size_t(y) * size_t(g.width) + size_t(x); };
  for (int mode = 0; mode < 2; ++mode) {
    const bool rows = mode == 0;
    const Field other = make(flipped(g, rows, !rows));
    std::vector<double> want(2 * n);
    for (int y = 0; y < g.height; ++y)
      for (int x = 0; x < g.width; ++x) {
        const size_t from = rows ? at(g.height - 1 - y, x) : at(y, g.width - 1 - x);
        want[at(y, x)] = rows ? field[from] : -field[from];
        want[n + at(y, x)] = rows ? -field[n + from] : field[n + from];
      }
    check_field(other, want, tolerance);
  }
  const Grid t = turned(g);
  std::vector<double> want(2 * n);
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x) {
      const size_t to = size_t(g.width - 1 - x) * size_t(t.width) + size_t(y);
      want[to] = field[n + at(y, x)];
      want[n + to] = -field[at(y, x)];
    }
  check_field(make(t), want, tolerance);
}

template <class Make>
void check_threads(const Make& make) {
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const Field one = make();
  for (int threads : {2, 7}) {
    omp_set_num_threads(threads);
    CHECK(make() == one);
  }
  omp_set_num_threads(before);
}

const std::vector<std::pair<std::string, Grid>>& awkward() {
  static const std::vector<std::pair<std::string, Grid>> all = [] {
    std::vector<std::pair<std::string, Grid>> a;
    a.push_back({"ellipses", ellipses(71, 90, 25, 14, 1)});
    a.push_back({"small ellipses", ellipses(65, 33, 40, 4, 2)});
    a.push_back({"large ellipses", ellipses(97, 64, 4, 45, 3)});
    a.push_back({"noise of three ids", noise(40, 37, 3, .7, 4)});
    a.push_back({"sparse noise", noise(50, 35, 4, .05, 5)});
    a.push_back({"every pixel its own", noise(12, 13, 1 << 10, 1, 6)});
    a.push_back({"one pixel", grid({"1"})});
    a.push_back({"one row", grid({"1111..22.33333333333333333333333333333333334445"})});
    a.push_back({"one column", turned(a.back().second)});
    a.push_back({"no object", grid({"...", "..."})});
    a.push_back({"all one object", Grid{40, 70, std::vector<int32_t>(40 * 70, 5)}});
    a.push_back(
        {"hole with an object, pieces", grid({"1111111..2", "1.....1..2", "1.3.3.1...", "1.....1..2", "1111111222"})});
    Grid diagonal{70, 75, std::vector<int32_t>(70 * 75)}, comb = diagonal;
    for (int y = 0; y < 70; ++y)
      for (int x = 0; x < 75; ++x) {
        diagonal.ids[size_t(y * 75 + x)] = (x + y) % 12 < 3 ? 1 : (x + y) % 12 == 5 ? 2 + (x + y) / 12 : 0;
        comb.ids[size_t(y * 75 + x)] = y > 60 || x % 6 < 2 ? 4 : x % 6 == 4 ? 2147483647 : 0;
      }
    a.push_back({"diagonals", diagonal});
    a.push_back({"comb", comb});
    return a;
  }();
  return all;
}

}  // namespace

TEST_CASE("field: sdf next to a straight border") {
  // The magnitude by depth under an infinite straight border, truncation 10, kernel 11.
  const double want[] = {2.2625, 2.1111, 1.9921, 1.9122, 1.8667, 1.8223, 1.7545, 1.6069,
                         1.3402, .9222,  .5042,  .2376,  .0900,  .0222,  0};
  Grid g{50, 120, std::vector<int32_t>(50 * 120)};
  for (int y = 10; y < 50; ++y)
    std::fill_n(&g.ids[size_t(y * 120)], 120, 9);
  for (const Exec& exec : test::execs())
    for (Variant variant : {Variant::automatic, Variant::plain}) {
      Exec e = exec;
      e.variant = variant;
      const Field f = sdf(e, g);
      for (int depth = 1; depth <= 15; ++depth) {
        const size_t at = size_t((9 + depth) * 120 + 60);
        CHECK(std::abs(f[at]) < 1e-5);
        CHECK(std::abs(f[at + g.ids.size()] - want[depth - 1]) < 6e-5);
      }
    }
}

TEST_CASE("field: sdf is the per-object definition") {
  const std::vector<Exec> execs = test::execs();
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (const Exec& exec : execs) {
      check_field(sdf(exec, g), sdf_oracle(g, 10, 11), 1e-5);
      check_field(sdf(exec, g, {3, 15}), sdf_oracle(g, 3, 15), 1e-5);
      check_field(sdf(exec, g, {20, 3}), sdf_oracle(g, 20, 3), 1e-5);
      check_field(sdf(exec, g, {1, 5}), sdf_oracle(g, 1, 5), 1e-5);
    }
  }
  const Grid& large = awkward()[2].second;
  check_field(sdf({}, large, {10, 45}), sdf_oracle(large, 10, 45), 1e-5);
  check_field(sdf({}, large, {64, 31}), sdf_oracle(large, 64, 31), 1e-5);
  check_field(sdf({}, large, {100, 11}), sdf_oracle(large, 100, 11), 1e-5);
}

TEST_CASE("field: sdf gives the plain version's bits at any thread count") {
  Exec plain;
  plain.variant = Variant::plain;
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (SdfFieldOptions options : {SdfFieldOptions{}, SdfFieldOptions{3, 15}, SdfFieldOptions{20, 3}})
      CHECK(sdf({}, g, options) == sdf(plain, g, options));
  }
  const Grid g = ellipses(200, 170, 60, 20, 8);
  check_threads([&] { return sdf({}, g); });
  check_threads([&] { return sdf(plain, awkward()[0].second); });
}

TEST_CASE("field: sdf turns and flips with its labels") {
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    check_symmetries(
        g, [](const Grid& l) { return sdf({}, l); }, 2e-6);
  }
}

TEST_CASE("field: sdf of a crop with its margin is the crop of the sdf") {
  const Grid g = ellipses(120, 100, 30, 18, 11);
  for (SdfFieldOptions options : {SdfFieldOptions{}, SdfFieldOptions{3, 15}, SdfFieldOptions{20, 3}}) {
    const Field whole = sdf({}, g, options);
    const int m = sdf_field_margin(options);
    for (auto [y0, x0] : {std::pair{30, 17}, {0, 0}, {80, 55}, {71, 3}}) {
      const int h = 40, w = 45;
      Grid crop{h + 2 * m, w + 2 * m, {}};
      for (int y = -m; y < h + m; ++y)
        for (int x = -m; x < w + m; ++x)
          crop.ids.push_back(g.at(y0 + y, x0 + x));
      const Field f = sdf({}, crop, options);
      int differ = 0;
      for (int c = 0; c < 2; ++c)
        for (int y = 0; y < h; ++y)
          for (int x = 0; x < w; ++x)
            if (g.at(y0 + y, x0 + x))
              differ += f[size_t((c * crop.height + y + m) * crop.width + x + m)] !=
                        whole[size_t((c * g.height + y0 + y) * g.width + x0 + x)];
      CHECK(differ == 0);
    }
  }
  CHECK(sdf_field_margin({}) == 15);
}

TEST_CASE("field: sdf of a single pixel is zero, of two halves points apart") {
  const Field one = sdf({}, grid({".....", ".....", "..7..", ".....", "....."}));
  CHECK(one == Field(50));
  const Field touching = sdf({}, grid({"11112222", "11112222", "11112222", "11112222"}));
  for (size_t y = 0; y < 4; ++y) {
    CHECK(touching[y * 8 + 3] < -.5f);
    CHECK(touching[y * 8 + 4] > .5f);
  }
}

TEST_CASE("field: sdf refuses what it cannot do") {
  const Grid g = grid({"11", "11"});
  CHECK_THROWS_AS(sdf({}, g, {0, 11}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 10}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 1}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 65}), Error);
  std::vector<int32_t> ids(6);
  std::vector<float> out(12);
  CHECK_THROWS_AS(sdf_field({}, {ids.data(), {2, 3}}, {}, {out.data(), {2, 3, 2}}), Error);
}

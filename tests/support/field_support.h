#pragma once
#include <omp.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "data/files/labels.h"
#include "tests/support/support.h"

// Awkward label images, and checks of properties that every vector field of a label image has.
namespace basin::test {

struct Grid {
  int height = 0, width = 0;
  std::vector<int32_t> ids;
  int32_t at(int y, int x) const {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : ids[size_t(y) * size_t(width) + size_t(x)];
  }
};

inline Labels labels_of(const Grid& g) { return compact(g.height, g.width, {g.ids.begin(), g.ids.end()}); }

inline Grid grid(std::vector<std::string> rows) {
  Grid g{int(rows.size()), int(rows[0].size()), {}};
  for (const std::string& row : rows)
    for (char c : row)
      g.ids.push_back(c == '.' ? 0 : c - '0');
  return g;
}

/// Overlapping ellipses, later ones on top, so that objects touch, are in pieces and cross the border.
inline Grid ellipses(int height, int width, int count, double largest, unsigned seed) {
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

inline Grid noise(int height, int width, int ids, double filled, unsigned seed) {
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

inline void check_field(const Field& got, const std::vector<double>& want, double tolerance) {
  check_close(std::vector<double>(got.begin(), got.end()), want, tolerance, 0);
}

inline Grid flipped(const Grid& g, bool rows, bool columns) {
  Grid f = g;
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x)
      f.ids[size_t(y) * size_t(g.width) + size_t(x)] = g.at(rows ? g.height - 1 - y : y, columns ? g.width - 1 - x : x);
  return f;
}

/// Rotation by 90 degrees counter-clockwise: the pixel at (x, y) goes to (y, W - 1 - x).
inline Grid turned(const Grid& g) {
  Grid t{g.width, g.height, std::vector<int32_t>(g.ids.size())};
  for (int y = 0; y < g.height; ++y)
    for (int x = 0; x < g.width; ++x)
      t.ids[size_t(g.width - 1 - x) * size_t(t.width) + size_t(y)] = g.at(y, x);
  return t;
}

/// Checks that field(flip(L)) == signflip(flip(field(L))) for both flips, and the same for a rotation by 90 degrees.
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

inline const std::vector<std::pair<std::string, Grid>>& awkward() {
  static const std::vector<std::pair<std::string, Grid>> all = [] {
    std::vector<std::pair<std::string, Grid>> a;
    a.push_back({"ellipses", ellipses(71, 90, 25, 14, 1)});
    a.push_back({"small ellipses", ellipses(65, 33, 40, 4, 2)});
    a.push_back({"large ellipses", ellipses(61, 64, 4, 32, 3)});
    a.push_back({"noise of three ids", noise(40, 37, 3, .7, 4)});
    a.push_back({"sparse noise", noise(50, 35, 4, .05, 5)});
    a.push_back({"every pixel its own", noise(12, 13, 1 << 10, 1, 6)});
    a.push_back({"one pixel", grid({"1"})});
    a.push_back({"one row", grid({"1111..22.33333333333333333333333333333333334445"})});
    a.push_back({"one column", turned(a.back().second)});
    a.push_back({"no object", grid({"...", "..."})});
    a.push_back({"all one object", Grid{30, 52, std::vector<int32_t>(30 * 52, 5)}});
    a.push_back(
        {"hole with an object, pieces", grid({"1111111..2", "1.....1..2", "1.3.3.1...", "1.....1..2", "1111111222"})});
    const std::vector<double> random = uniform<double>(25 * 19, 1, 2e9, 9);
    Grid bricks{50, 57, {}};  // many ids in one tile, so that some collide in its hash table
    for (int y = 0; y < 50; ++y)
      for (int x = 0; x < 57; ++x)
        bricks.ids.push_back(int32_t(random[size_t(y / 2 * 19 + x / 3)]));
    a.push_back({"bricks", bricks});
    Grid diagonal{51, 54, std::vector<int32_t>(51 * 54)}, comb = diagonal;
    for (int y = 0; y < 51; ++y)
      for (int x = 0; x < 54; ++x) {
        diagonal.ids[size_t(y * 54 + x)] = (x + y) % 12 < 3 ? 1 : (x + y) % 12 == 5 ? 2 + (x + y) / 12 : 0;
        comb.ids[size_t(y * 54 + x)] = y > 40 || x % 6 < 2 ? 4 : x % 6 == 4 ? 2147483647 : 0;
      }
    a.push_back({"diagonals", diagonal});
    a.push_back({"comb", comb});
    return a;
  }();
  return all;
}

}  // namespace basin::test

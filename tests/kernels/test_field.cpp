#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/field/distance_field.h"
#include "tests/support/field_support.h"

using namespace basin;
using namespace basin::kernels;
using namespace basin::test;

namespace {

Field sdf(const Exec& exec, const Grid& g, const SdfFieldOptions& options = {}) {
  return run(exec, g, [&](const Exec& e, View<const int32_t, 2> l, View<float, 3> f) { sdf_field(e, l, options, f); });
}

/// The definition, object by object: crop, pad with zeros, edt(object) - edt(not object), clip, convolve.
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
          field[at] += j != 0 ? v * ((j > 0) - (j < 0)) : 0;
          field[at + g.ids.size()] += i != 0 ? v * ((i > 0) - (i < 0)) : 0;
        }
  }
  return field;
}

}  // namespace

TEST_CASE("field: sdf magnitudes next to a straight border") {
  // The magnitude at each depth below an infinite straight border, for truncation 10 and kernel 11.
  const double want[] = {2.2625, 2.1111, 1.9921, 1.9122, 1.8667, 1.8223, 1.7545, 1.6069,
                         1.3402, .9222,  .5042,  .2376,  .0900,  .0222,  0};
  Grid g{50, 120, std::vector<int32_t>(50 * 120)};
  for (int y = 10; y < 50; ++y)
    std::fill_n(&g.ids[size_t(y * 120)], 120, 9);
  for (const Exec& exec : execs())
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

TEST_CASE("field: sdf equals its definition, object by object") {
  const std::vector<Exec> all = execs();
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    for (const Exec& exec : all) {
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

TEST_CASE("field: sdf has the plain version's bits with any number of threads") {
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

namespace {

/// Images that a tiled kernel is likely to get wrong.
std::vector<Grid> around_tiles() {
  std::vector<Grid> grids;
  for (auto [h, w] : {std::pair{1, 1}, {1, 40}, {70, 1}, {31, 33}, {32, 32}, {33, 31}, {65, 70}}) {
    grids.push_back(noise(h, w, 5, .8, unsigned(h + w)));
    grids.push_back(ellipses(h, w, 3 + h * w / 150, 16, unsigned(h * w)));
    grids.push_back({h, w, std::vector<int32_t>(size_t(h) * size_t(w), -1)});
  }
  // A disc over many tiles, with holes and an object in one hole; another object touches the disc.
  Grid disc{100, 110, {}};
  for (int y = 0; y < disc.height; ++y)
    for (int x = 0; x < disc.width; ++x) {
      const int squared = (x - 50) * (x - 50) + (y - 48) * (y - 48);
      const bool hole = squared < 36 || (x % 23 == 0 && y % 17 < 2);
      disc.ids.push_back(squared > 45 * 45 ? (x > 80 ? INT32_MAX : 0) : squared < 9 ? 1 : hole ? 0 : INT32_MIN);
    }
  grids.push_back(disc);
  Grid own{20, 34, {}};
  for (uint32_t i = 0; i < 20 * 34; ++i)
    own.ids.push_back(int32_t(i * 2654435761u | 1));
  grids.push_back(own);
  grids.push_back({40, 40, std::vector<int32_t>(40 * 40)});
  return grids;
}

}  // namespace

TEST_CASE("field: sdf has the plain version's bits on every device") {
  Exec plain_cpu;
  plain_cpu.variant = Variant::plain;
  const auto check = [&](const Grid& g, std::initializer_list<SdfFieldOptions> all) {
    for (const SdfFieldOptions& options : all) {
      CAPTURE(g.height);
      CAPTURE(g.width);
      CAPTURE(options.truncate);
      CAPTURE(options.kernel);
      const Field want = sdf(plain_cpu, g, options);
      for (const Exec& exec : execs()) {
        Exec plain = exec;
        plain.variant = Variant::plain;
        CHECK(sdf(exec, g, options) == want);
        CHECK(sdf(plain, g, options) == want);
      }
    }
  };
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    check(g, {{}, {3, 7}});
  }
  for (const Grid& g : around_tiles())
    check(g, {{}});
  // Objects that reach up to 16 pixels beyond a tile, and one pixel further.
  for (const Grid& g : {ellipses(65, 70, 12, 30, 21), Grid{65, 70, std::vector<int32_t>(65 * 70, 2)}})
    check(g, {{1, 11}, {12, 11}, {13, 11}, {10, 15}, {9, 17}, {16, 3}, {17, 3}, {1, 3}, {8, 9}});
}

TEST_CASE("field: sdf rotates and flips with its labels") {
  for (const auto& [name, g] : awkward()) {
    CAPTURE(name);
    check_symmetries(
        g, [](const Grid& l) { return sdf({}, l); }, 2e-6);
  }
}

namespace {

/// The number of object pixels at which the field of a crop with its margin differs from the whole image's.
int differ_in_crop(const Grid& g, const SdfFieldOptions& options, int y0, int x0, int h, int w) {
  const Field whole = sdf({}, g, options);
  const int m = sdf_field_margin(options);
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
  return differ;
}

}  // namespace

TEST_CASE("field: sdf of a crop with a margin equals the crop of the whole image's sdf") {
  const Grid g = ellipses(120, 100, 30, 18, 11);
  for (SdfFieldOptions options : {SdfFieldOptions{}, SdfFieldOptions{3, 15}, SdfFieldOptions{20, 3}})
    for (auto [y0, x0] : {std::pair{30, 17}, {0, 0}, {80, 55}, {71, 3}})
      CHECK(differ_in_crop(g, options, y0, x0, 40, 45) == 0);
  CHECK(sdf_field_margin({}) == 15);
  // Two pixels of one object, at the largest distance at which one can influence the field at the other.
  Grid two{40, 40, std::vector<int32_t>(1600)};
  two.ids[20 * 40 + 20] = two.ids[27 * 40 + 34] = 1;
  CHECK(differ_in_crop(two, {3, 15}, 20, 20, 1, 1) == 0);
}

TEST_CASE("field: sdf is zero deep inside a large object") {
  const Grid g{300, 300, std::vector<int32_t>(300 * 300, 1)};
  const Field f = sdf({}, g, {64, 31});
  float largest = 0;
  for (int y = 80; y < 220; ++y)
    for (int x = 80; x < 220; ++x)
      largest = std::max(largest, std::abs(f[size_t(y * 300 + x)]));
  CHECK(largest == 0);
  CHECK(f[150 * 300 + 70] > 0);
}

TEST_CASE("field: sdf of a single pixel is zero, and the sdf of touching objects points away from the contact") {
  const Field one = sdf({}, grid({".....", ".....", "..7..", ".....", "....."}));
  CHECK(one == Field(50));
  const Field touching = sdf({}, grid({"11112222", "11112222", "11112222", "11112222"}));
  for (size_t y = 0; y < 4; ++y) {
    CHECK(touching[y * 8 + 3] < -.5f);
    CHECK(touching[y * 8 + 4] > .5f);
  }
}

TEST_CASE("field: sdf refuses invalid options and shapes") {
  const Grid g = grid({"11", "11"});
  CHECK_THROWS_AS(sdf({}, g, {0, 11}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 10}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 1}), Error);
  CHECK_THROWS_AS(sdf({}, g, {10, 65}), Error);
  std::vector<int32_t> ids(6);
  std::vector<float> out(12);
  CHECK_THROWS_AS(sdf_field({}, {ids.data(), {2, 3}}, {}, {out.data(), {2, 3, 2}}), Error);
}

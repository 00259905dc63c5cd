#include <omp.h>

#include <algorithm>
#include <array>

#include "engine/tensor.h"
#include "kernels/cluster/border_points.h"
#include "kernels/cluster/dbscan.h"
#include "kernels/cluster/point_grid.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using kernels::DbscanOptions;

namespace {

template <class T>
using Points = std::vector<T>;  // x0, y0, x1, y1, ...

template <class T>
double squared_distance(const Points<T>& points, size_t i, size_t j) {
  const double dx = double(points[2 * i]) - double(points[2 * j]),
               dy = double(points[2 * i + 1]) - double(points[2 * j + 1]);
  return dx * dx + dy * dy;
}

/// The algorithm of scikit-learn, point by point: the next unlabelled core point starts a cluster, which grows until it
/// is complete.
template <class T>
std::vector<int32_t> dbscan_oracle(const Points<T>& points, const DbscanOptions& options) {
  const size_t n = points.size() / 2;
  const auto neighbours = [&](size_t i) {
    std::vector<size_t> near;
    for (size_t j = 0; j < n; ++j)
      if (squared_distance(points, i, j) <= options.eps * options.eps) near.push_back(j);
    return near;
  };
  std::vector<int32_t> labels(n, -1);
  int32_t next = 0;
  for (size_t seed = 0; seed < n; ++seed) {
    if (labels[seed] != -1 || int(neighbours(seed).size()) < options.min_samples) continue;
    std::vector<size_t> stack{seed};
    while (!stack.empty()) {
      const size_t i = stack.back();
      stack.pop_back();
      if (labels[i] != -1) continue;
      labels[i] = next;
      const std::vector<size_t> near = neighbours(i);
      if (int(near.size()) >= options.min_samples) stack.insert(stack.end(), near.begin(), near.end());
    }
    ++next;
  }
  return labels;
}

template <class T>
std::vector<int32_t> cluster(const Exec& exec, const Points<T>& points, const DbscanOptions& options) {
  const int64_t n = int64_t(points.size() / 2);
  const Tensor at = Tensor::from(exec, {n, 2}, points), labels = Tensor::empty(exec, {n}, DType::i32);
  const int64_t clusters = kernels::dbscan<T>(exec, at.view<const T, 2>(), options, labels.view<int32_t, 1>());
  const std::vector<int32_t> got = labels.to_host<int32_t>(exec);
  CHECK(clusters == (n ? *std::max_element(got.begin(), got.end()) + 1 : 0));
  return got;
}

template <class T>
void check_dbscan(const Points<T>& points, const DbscanOptions& options) {
  CAPTURE(points.size() / 2);
  CAPTURE(options.eps);
  CAPTURE(options.min_samples);
  const std::vector<int32_t> want = dbscan_oracle(points, options);
  for (Exec exec : test::execs())
    for (const Variant variant : {Variant::plain, Variant::automatic}) {
      exec.variant = variant;
      CHECK(cluster(exec, points, options) == want);
    }
}

/// Clumps of points on a background of scattered points.
Points<double> clumps(size_t n, double size, unsigned seed) {
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> anywhere(0, size);
  std::normal_distribution<double> nearby(0, size / 40);
  Points<double> points;
  double x = 0, y = 0;
  for (size_t i = 0; i < n; ++i) {
    if (i % 29 == 0) x = anywhere(rng), y = anywhere(rng);
    points.push_back(i % 5 ? x + nearby(rng) : anywhere(rng));
    points.push_back(i % 5 ? y + nearby(rng) : anywhere(rng));
  }
  return points;
}

Points<double> lattice(int width, int height, double pitch) {
  Points<double> points;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      points.insert(points.end(), {x * pitch, y * pitch});
  return points;
}

Points<double> moved(Points<double> points, double dx, double dy) {
  for (size_t i = 0; i < points.size(); i += 2)
    points[i] += dx, points[i + 1] += dy;
  return points;
}

Points<double> joined(Points<double> a, const Points<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Points<float> narrowed(const Points<double>& points) { return {points.begin(), points.end()}; }

}  // namespace

TEST_CASE("dbscan: masked points, whose number the host does not know, are clustered like a list of them") {
  const auto run = [](const Exec& exec, const Points<float>& points, const std::vector<uint8_t>& mask,
                      const kernels::Bounds& box, const DbscanOptions& options, std::vector<int32_t>& labels) {
    const int64_t n = int64_t(mask.size());
    const Tensor at = Tensor::from(exec, {n, 2}, points), some = Tensor::from(exec, {n}, mask);
    const Tensor to = Tensor::empty(exec, {n}, DType::i32), counts = Tensor::zeros(exec, {2}, DType::i32);
    auto* const numbers = counts.data<int32_t>();  // of clusters and of points outside the box
    kernels::dbscan<float>(exec, at.view<const float, 2>(), {some.data<uint8_t>(), box, numbers + 1}, options,
                           to.view<int32_t, 1>(), numbers);
    labels = to.to_host<int32_t>(exec);
    return counts.to_host<int32_t>(exec);
  };
  const kernels::Bounds box{-10, 70, -10, 70};
  for (unsigned seed = 0; seed < 24; ++seed) {
    const Points<float> points = narrowed(clumps(300 + seed, 60, seed));
    std::mt19937 rng(seed);
    std::vector<uint8_t> mask(points.size() / 2);
    for (uint8_t& m : mask)
      m = uint8_t(rng() % 24 >= seed ? 255 : 0);
    if (seed == 23) std::fill(mask.begin(), mask.end(), uint8_t(0));
    Points<float> inside;
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i]) inside.insert(inside.end(), {points[2 * i], points[2 * i + 1]});
    const DbscanOptions options{std::array{0.7, 2.2, 7.0, 400.0}[seed % 4], std::array{2, 5, 15}[seed % 3]};
    const std::vector<int32_t> of_inside = dbscan_oracle(inside, options);
    std::vector<int32_t> want(mask.size(), -1), got;
    for (size_t i = 0, k = 0; i < mask.size(); ++i)
      if (mask[i]) want[i] = of_inside[k++];
    const int32_t clusters = 1 + *std::max_element(want.begin(), want.end());
    CAPTURE(seed);
    for (Exec exec : test::execs())
      for (const Variant variant : {Variant::plain, Variant::automatic}) {
        exec.variant = variant;
        CHECK(run(exec, points, mask, box, options, got) == std::vector<int32_t>{clusters, 0});
        CHECK(got == want);
        for (const float far : {70.001f, -10.001f, 1e30f, HUGE_VALF, std::nanf("")}) {
          Points<float> astray = points;
          astray[seed] = far;
          CHECK(run(exec, astray, mask, box, options, got)[1] == (mask[seed / 2] ? 1 : 0));
        }
        CHECK_THROWS_AS(run(exec, points, mask, box, {1e-3, 2}, got), Error);  // too many cells
      }
  }
}

TEST_CASE("dbscan: masked points in crowded cells have the same labels at any number of threads") {
  const size_t n = 60000;
  const std::vector<float> points = test::uniform<float>(2 * n, 0, 30, 5);
  const std::vector<uint8_t> mask(n, 1);
  std::vector<int32_t> want(n), got(n);
  const DbscanOptions options{0.4, 30};
  const Exec cpu;
  const int64_t count = kernels::dbscan<float>(cpu, {points.data(), {int(n), 2}}, options, {want.data(), {int(n)}});
  CHECK(count > 0);
  const int before = omp_get_max_threads();
  for (const int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    int32_t clusters = 0, strays = 0;
    kernels::dbscan<float>(cpu, {points.data(), {int(n), 2}}, {mask.data(), {0, 30, 0, 30}, &strays}, options,
                           {got.data(), {int(n)}}, &clusters);
    CHECK(clusters == count);
    CHECK(strays == 0);
    CHECK(got == want);
  }
  omp_set_num_threads(before);
}

TEST_CASE("dbscan: border points and noise, by hand") {
  // A border point between two clusters gets the smaller label; the last point is noise.
  const Points<double> line = {10, 0, 11, 0, 12, 0, 14, 0, 16, 0, 17, 0, 18, 0, 30, 0};
  const DbscanOptions options{2, 4};
  for (const Exec& exec : test::execs())
    CHECK(cluster(exec, line, options) == std::vector<int32_t>{0, 0, 0, 0, 1, 1, 1, -1});
}

TEST_CASE("dbscan: points at a distance of exactly eps are neighbours, at the next larger double they are not") {
  for (const double far : {1.25, std::nextafter(1.25, 2.0)}) {
    const Points<double> pair = {-1, -2, -1, -2 + far};
    for (const Exec& exec : test::execs())
      CHECK(cluster(exec, pair, {1.25, 2}) ==
            (far == 1.25 ? std::vector<int32_t>{0, 0} : std::vector<int32_t>{-1, -1}));
  }
  check_dbscan(Points<float>{0, 0, 0, 1.25f}, {1.25, 2});
  check_dbscan(Points<float>{0, 0, 0, std::nextafter(1.25f, 2.0f)}, {1.25, 2});
  check_dbscan(lattice(20, 20, 1), {5, 12});  // 3-4-5 triangles
  check_dbscan(lattice(20, 20, 0.1), {0.5, 12});
  check_dbscan(lattice(15, 15, 1), {std::sqrt(2.0), 9});
}

TEST_CASE("dbscan: random points get scikit-learn's labels") {
  for (unsigned seed = 0; seed < 6; ++seed)
    for (const double eps : {0.3, 2.2, 7.0, 400.0})
      for (const int min_samples : {1, 2, 5, 15}) {
        check_dbscan(clumps(300 + seed, 60, seed), {eps, min_samples});
        check_dbscan(narrowed(clumps(300 + seed, 60, seed)), {eps, min_samples});
      }
}

TEST_CASE("dbscan: rows, columns, diagonals and clusters of equal points") {
  Points<double> diagonal;
  for (int i = 0; i < 200; ++i)
    diagonal.insert(diagonal.end(), {i * 0.7 * (i % 3), i * 0.7 * (i % 3)});
  check_dbscan(diagonal, {1, 3});
  for (const double pitch : {0.5, 1.0, 1.5})
    for (const int min_samples : {2, 3, 4}) {
      check_dbscan(lattice(60, 1, pitch), {1, min_samples});
      check_dbscan(lattice(1, 60, pitch), {1, min_samples});
    }
  check_dbscan(Points<double>(200, 3.25), {0.5, 100});
  check_dbscan(Points<double>(200, 3.25), {0.5, 101});
  check_dbscan(joined(lattice(9, 9, 1), lattice(9, 9, 1)), {1, 8});
}

TEST_CASE("dbscan: points on the boundaries of grid cells") {
  for (const double eps : {0.1, 1.0, 2.2, 3.0}) {
    check_dbscan(lattice(17, 13, eps / std::sqrt(2.0)), {eps, 4});
    check_dbscan(lattice(17, 13, eps / std::sqrt(2.0)), {eps, 9});
    check_dbscan(lattice(17, 13, kernels::CellAxis(eps).side()), {eps, 9});
    check_dbscan(moved(lattice(17, 13, kernels::CellAxis(eps).side()), -5 * eps, -3 * eps), {eps, 9});
  }
}

TEST_CASE("dbscan: negative and huge coordinates, and clumps that are far apart") {
  const Points<double> some = clumps(200, 30, 3);
  check_dbscan(moved(some, -15, -15), {2, 4});
  check_dbscan(moved(some, 1e7, -1e7), {2, 4});
  check_dbscan(narrowed(moved(some, 1e7, -1e7)), {2, 4});
  check_dbscan(joined(moved(some, 1e9, 0), joined(some, moved(some, -3e12, 1e15))), {2, 4});
  Points<double> scattered;  // no two points share a row or column: the grid stays large even without gaps
  for (int i = 0; i < 400; ++i)
    scattered.insert(scattered.end(), {double(i % 200) * 1e8, double((i * 77) % 200) * -1e8});
  check_dbscan(scattered, {1, 2});
  for (const double scale : {1e-140, 1e-30, 1e30, 1e140}) {
    Points<double> scaled = joined(some, moved(some, 1e6, 1e6));
    for (double& x : scaled)
      x *= scale;
    check_dbscan(scaled, {2 * scale, 4});
  }
}

TEST_CASE("dbscan: where adjacent doubles are further apart than eps, only equal points are neighbours") {
  Points<double> points;
  for (const double at : {1e17, 1e18, -1e18, 1e300, -1e300, 1.7e308})
    for (int k = 0; k < 3; ++k)
      points.insert(points.end(), {k ? at : std::nextafter(at, 0.0), at});
  check_dbscan(points, {1, 2});
  check_dbscan(joined(points, clumps(100, 10, 1)), {1, 2});
  Points<double> edge;  // at coordinates of about 2^36 blocks of 2^21 eps
  for (int k = -40; k <= 40; ++k)
    edge.insert(edge.end(), {0x1p57 + k * 16.0, 0.0, -0x1p57 + k * 16.0, 0.0});
  check_dbscan(edge, {1, 1});
  check_dbscan(edge, {40, 2});
}

TEST_CASE("dbscan: points in one grid cell are within eps, and neighbours are at most 2 cells apart") {
  std::mt19937_64 rng(1);
  for (const double reach : {1e-150, 0.1, 1.0, 2.25, 3.0, 1e150}) {
    const kernels::CellAxis axis(reach);
    CHECK(axis.side() * std::sqrt(2.0) <= reach);
    CHECK(axis.side() * std::sqrt(2.0) > reach * (1 - 1e-6));
    for (int i = 0; i < 20000; ++i) {
      const double magnitude = std::ldexp(1.0, int(rng() % 62)), a = (double(rng()) * 0x1p-63 - 1) * magnitude * reach;
      const double b = a + (double(rng()) * 0x1p-64) * reach * (i % 2 ? 1 : 0.708);
      const int64_t cells = axis.cell(b) - axis.cell(a);
      REQUIRE(cells >= 0);
      if (b - a <= reach) REQUIRE(cells <= 2);
      if (cells == 0) REQUIRE((b - a) * (b - a) * 2 <= reach * reach);
    }
  }
}

TEST_CASE("dbscan: one point and no points") {
  for (const Exec& exec : test::execs()) {
    CHECK(cluster(exec, Points<float>{}, {1, 1}).empty());
    CHECK(cluster(exec, Points<double>{5, 5}, {1, 1}) == std::vector<int32_t>{0});
    CHECK(cluster(exec, Points<double>{5, 5}, {1, 2}) == std::vector<int32_t>{-1});
  }
}

TEST_CASE("dbscan: invalid arguments are refused") {
  const Exec cpu;
  const double inf = HUGE_VAL, nan = std::nan("");
  for (const double bad : {inf, -inf, nan}) {
    CHECK_THROWS_WITH_AS(cluster(cpu, Points<double>{0, 0, 1, bad}, {1, 2}),
                         "point 1 has a coordinate that is not finite", Error);
    CHECK_THROWS_AS(cluster(cpu, Points<float>{float(bad), 0, 1, 0}, {1, 2}), Error);
  }
  for (const double eps : {0.0, -1.0, nan, inf})
    CHECK_THROWS_AS(cluster(cpu, Points<double>{0, 0}, {eps, 2}), Error);
  CHECK_THROWS_AS(cluster(cpu, Points<double>{0, 0}, {1, 0}), Error);
  const Tensor three = Tensor::zeros(cpu, {4, 3}), labels = Tensor::zeros(cpu, {4}, DType::i32);
  CHECK_THROWS_AS(kernels::dbscan<float>(cpu, three.view<const float, 2>(), {}, labels.view<int32_t, 1>()), Error);
}

TEST_CASE("dbscan: the same labels at 1, 2 and 7 threads") {
  const Points<double> points = clumps(60000, 900, 5);
  const DbscanOptions options{2.2, 5};
  const int before = omp_get_max_threads();
  std::vector<int32_t> first;
  for (const int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    const std::vector<int32_t> labels = cluster(Exec{}, points, options);
    if (first.empty()) first = labels;
    CHECK(labels == first);
  }
  omp_set_num_threads(before);
  CHECK(*std::max_element(first.begin(), first.end()) > 100);
}

TEST_CASE("dbscan: processing points in chunks gives the labels of the plain version") {
  Exec plain;
  plain.variant = Variant::plain;
  const auto check = [&](const auto& points, const DbscanOptions& options) {
    CHECK(cluster(Exec{}, points, options) == cluster(plain, points, options));
  };
  for (const int min_samples : {2, 5, 40}) {
    const Points<double> points = clumps(60000, 900, 7);
    check(points, {2.2, min_samples});
    check(narrowed(points), {2.2, min_samples});
    // Equal points that fill one grid cell each and exceed a chunk, among other points.
    const Points<double> dense = joined(Points<double>(2 * 5000, 3.25), joined(points, Points<double>(2 * 2500, 7.5)));
    check(dense, {2.2, min_samples});
    check(narrowed(dense), {2.2, min_samples});
  }
}

TEST_CASE("dbscan: neighbours in cells that share neither a row nor a column") {
  const double eps = 2.25;
  const kernels::CellAxis axis(eps);
  const double near_edge = 7 * axis.side() * (1 - 1e-9), apart = eps / std::sqrt(2.0) * (1 - 1e-9);
  REQUIRE(axis.cell(near_edge + apart) - axis.cell(near_edge) == 2);
  const double far_edge = near_edge + apart;
  check_dbscan(Points<double>{near_edge, near_edge, far_edge, far_edge}, {eps, 2});
  check_dbscan(Points<double>{near_edge, far_edge, far_edge, near_edge}, {eps, 2});
}

TEST_CASE("dbscan: core points alone, then the points within eps of them, give the labels of dbscan") {
  for (const Exec& exec : execs()) {
    for (const int min_samples : {1, 4, 9}) {
      const int n = 3000;
      const std::vector<float> at = uniform<float>(size_t(2 * n), 0, 60, unsigned(min_samples));
      const Tensor points = Tensor::from(exec, {n, 2}, at), want = Tensor::empty(exec, {n}, DType::i32),
                   got = Tensor::empty(exec, {n}, DType::i32);
      const View<const float, 2> view = points.view<const float, 2>();
      kernels::DbscanOptions options{1.5, min_samples};
      const int64_t clusters = kernels::dbscan<float>(exec, view, options, want.view<int32_t, 1>());
      options.border_points = false;
      CHECK(kernels::dbscan<float>(exec, view, options, got.view<int32_t, 1>()) == clusters);
      const auto noise = [&](const Tensor& t) {
        const std::vector<int32_t> labels = t.to_host<int32_t>(exec);
        return std::count(labels.begin(), labels.end(), -1);
      };
      CHECK((noise(got) > noise(want)) == (min_samples > 1));
      kernels::join_border_points<float>(exec, view, options.eps, got.view<int32_t, 1>());
      CHECK(got.to_host<int32_t>(exec) == want.to_host<int32_t>(exec));
    }
  }
}

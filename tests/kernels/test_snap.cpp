#include <omp.h>

#include <algorithm>
#include <array>
#include <map>

#include "engine/tensor.h"
#include "kernels/cluster/snap_noise.h"
#include "tests/support/support.h"

using namespace basin;
using kernels::NoiseRule;

namespace {

template <class T>
std::vector<int32_t> snap_oracle(const std::vector<T>& points, const std::vector<int32_t>& labels) {
  std::vector<int32_t> snapped = labels;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) continue;
    std::vector<std::pair<double, size_t>> others;
    for (size_t j = 0; j < labels.size(); ++j) {
      if (labels[j] < 0) continue;
      const double dx = double(points[2 * i]) - double(points[2 * j]);
      const double dy = double(points[2 * i + 1]) - double(points[2 * j + 1]);
      others.push_back({dx * dx + dy * dy, j});
    }
    std::sort(others.begin(), others.end());
    std::map<int32_t, int> votes;
    for (size_t k = 0; k < std::min<size_t>(5, others.size()); ++k)
      ++votes[labels[others[k].second]];
    // max_element returns the first of the most frequent labels.
    const auto more = [](const auto& a, const auto& b) { return a.second < b.second; };
    if (!votes.empty()) snapped[i] = std::max_element(votes.begin(), votes.end(), more)->first;
  }
  return snapped;
}

/// Omnipose's rule.
template <class T>
std::vector<int32_t> omnipose_snap_oracle(const std::vector<T>& points, const std::vector<int32_t>& labels,
                                          double eps) {
  std::vector<int32_t> snapped = labels;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] >= 0) continue;
    std::vector<std::pair<double, size_t>> others;
    for (size_t j = 0; j < labels.size(); ++j) {
      const double dx = double(points[2 * i]) - double(points[2 * j]);
      const double dy = double(points[2 * i + 1]) - double(points[2 * j + 1]);
      if (j != i) others.push_back({dx * dx + dy * dy, j});
    }
    std::sort(others.begin(), others.end());
    others.resize(std::min<size_t>(5, others.size()));
    for (const auto& [d2, j] : others)
      if (labels[j] >= 0) {
        if (d2 < eps * eps) snapped[i] = labels[j];
        break;
      }
  }
  return snapped;
}

template <class T>
std::vector<int32_t> snap(const Exec& exec, const std::vector<T>& points, const std::vector<int32_t>& labels,
                          NoiseRule rule = NoiseRule::majority, double eps = 0) {
  const int64_t n = int64_t(labels.size());
  const Tensor at = Tensor::from(exec, {n, 2}, points), out = Tensor::from(exec, {n}, labels);
  kernels::snap_noise<T>(exec, at.view<const T, 2>(), rule, eps, out.view<int32_t, 1>());
  return out.to_host<int32_t>(exec);
}

template <class T>
void check_snap(const std::vector<T>& points, const std::vector<int32_t>& labels) {
  const std::vector<int32_t> want = snap_oracle(points, labels);
  for (const Exec& exec : test::execs())
    CHECK(snap(exec, points, labels) == want);
}

std::vector<int32_t> some_noise(size_t n, unsigned seed, unsigned noise_percent, int clusters) {
  std::mt19937 rng(seed);
  std::vector<int32_t> labels(n);
  for (int32_t& l : labels)
    l = rng() % 100 < noise_percent ? -1 : int32_t(rng() % unsigned(clusters));
  return labels;
}

}  // namespace

TEST_CASE("snap: the majority of the nearest neighbours, by hand") {
  const std::vector<double> line = {0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
  for (const Exec& exec : test::execs()) {
    CHECK(snap(exec, line, {-1, 0, 0, 1, 1, 1, 2}) == std::vector<int32_t>{1, 0, 0, 1, 1, 1, 2});  // 3 of the nearest 5
    CHECK(snap(exec, line, {-1, 3, 3, 1, 1, 0, 1}) ==
          std::vector<int32_t>{1, 3, 3, 1, 1, 0, 1});  // counts 2, 2, 1: the smaller label
    CHECK(snap(exec, line, {7, 4, -1, -1, -1, -1, -1}) ==
          std::vector<int32_t>{7, 4, 4, 4, 4, 4, 4});  // only 2 have labels
    CHECK(snap(exec, line, {-1, -1, -1, -1, -1, -1, -1}) == std::vector<int32_t>(7, -1));
    CHECK(snap(exec, line, {0, 1, 2, 3, 4, 5, 6}) == std::vector<int32_t>{0, 1, 2, 3, 4, 5, 6});
    CHECK(snap(exec, std::vector<double>{}, {}).empty());
  }
}

TEST_CASE("snap: of equally distant points the one with the smaller index counts as nearer") {
  const std::vector<float> cross = {0, 0, 1, 0, -1, 0, 0, 1, 0, -1, 0, -1, -1, 0};
  for (const Exec& exec : test::execs())
    CHECK(snap(exec, cross, {-1, 1, 2, 2, 1, 0, 0})[0] == 1);
}

TEST_CASE("snap: random points, evenly and unevenly distributed") {
  for (unsigned seed = 0; seed < 8; ++seed)
    for (const unsigned noise_percent : {1u, 30u, 97u}) {
      std::vector<double> even = test::uniform<double>(800, 0, 50, seed);
      const std::vector<int32_t> labels = some_noise(400, seed, noise_percent, 6);
      check_snap(even, labels);
      check_snap(std::vector<float>(even.begin(), even.end()), labels);
      std::vector<double> rounded = even;
      for (double& x : rounded)
        x = std::round(x / 5);
      check_snap(rounded, labels);
      for (size_t i = 0; i < even.size(); ++i)
        even[i] = i % 40 < 2 ? even[i] * 1e9 : even[i] + 1e4 * double(i / 200);
      check_snap(even, labels);
      for (size_t i = 0; i < even.size(); i += 2)
        even[i] = -7;
      check_snap(even, labels);
    }
  check_snap(std::vector<double>(400, 2.5), some_noise(200, 1, 20, 4));
}

TEST_CASE("snap: a dense cluster and one distant point") {
  std::vector<double> points = test::uniform<double>(20000, 0, 10, 4);
  std::vector<int32_t> labels = some_noise(10000, 4, 1, 9);
  points[0] = 1e12;
  check_snap(points, labels);
  labels[0] = -1;
  check_snap(points, labels);
}

TEST_CASE("snap: Omnipose's rule by hand") {
  const std::vector<double> line = {0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0};
  const auto omnipose = [&](const Exec& exec, const std::vector<int32_t>& labels, double eps) {
    return snap(exec, line, labels, NoiseRule::omnipose, eps);
  };
  for (const Exec& exec : test::execs()) {
    CHECK(omnipose(exec, {-1, 5, 0, 0, 0, 0, 0}, 1.5)[0] == 5);  // the nearest label, not the most frequent
    CHECK(omnipose(exec, {-1, 5, 0, 0, 0, 0, 0}, 1)[0] == -1);   // the distance must be less than eps
    CHECK(omnipose(exec, {-1, -1, -1, 4, -1, -1, -1}, 3.5) == std::vector<int32_t>{4, 4, 4, 4, 4, 4, 4});
    CHECK(omnipose(exec, {-1, -1, -1, -1, -1, -1, 4}, 9)[0] == -1);  // the labelled point is only the sixth nearest
    CHECK(omnipose(exec, {-1, -1, -1, -1, -1, 4, -1}, 9)[0] == 4);
    CHECK(omnipose(exec, {0, -1, 1, -1, 1, -1, 0}, 1.5) ==
          std::vector<int32_t>{0, 0, 1, 1, 1, 1, 0});  // the first of equally distant points
    CHECK(snap(exec, line, {-1, 5, 0, 0, 0, 0, 0}, NoiseRule::none, 9)[0] == -1);
  }
}

TEST_CASE("snap: Omnipose's rule on random points") {
  for (unsigned seed = 0; seed < 8; ++seed)
    for (const unsigned noise_percent : {10u, 60u, 97u})
      for (const double eps : {0.5, 2.25, 9.}) {
        std::vector<double> points = test::uniform<double>(800, 0, 30, seed);
        if (seed % 2)
          for (double& x : points)
            x = std::round(x);
        const std::vector<float> narrow(points.begin(), points.end());
        const std::vector<int32_t> labels = some_noise(400, seed, noise_percent, 6);
        for (const Exec& exec : test::execs()) {
          CHECK(snap(exec, points, labels, NoiseRule::omnipose, eps) == omnipose_snap_oracle(points, labels, eps));
          CHECK(snap(exec, narrow, labels, NoiseRule::omnipose, eps) == omnipose_snap_oracle(narrow, labels, eps));
        }
      }
}

TEST_CASE("snap: masked points, whose number the host does not know, are relabelled like a list of them") {
  for (unsigned seed = 0; seed < 16; ++seed) {
    const std::vector<float> points = test::uniform<float>(800, 0, 50, seed);
    std::vector<int32_t> labels = some_noise(400, seed, std::array{5u, 40u, 97u, 100u}[seed % 4], 6);
    std::vector<uint8_t> mask(400);
    for (size_t i = 0; i < mask.size(); ++i) {
      mask[i] = (i * 7 + seed) % 11 < 8;
      if (!mask[i]) labels[i] = -1;
    }
    std::vector<float> inside;
    std::vector<int32_t> of_inside;
    for (size_t i = 0; i < mask.size(); ++i)
      if (mask[i]) inside.insert(inside.end(), {points[2 * i], points[2 * i + 1]}), of_inside.push_back(labels[i]);
    const double eps = seed % 2 ? 2.25 : 0.9;
    CAPTURE(seed);
    for (const NoiseRule rule : {NoiseRule::none, NoiseRule::majority, NoiseRule::omnipose}) {
      const std::vector<int32_t> snapped = snap(Exec{}, inside, of_inside, rule, eps);
      std::vector<int32_t> want = labels;
      for (size_t i = 0, k = 0; i < mask.size(); ++i)
        if (mask[i]) want[i] = snapped[k++];
      for (const Exec& exec : test::execs()) {
        const Tensor at = Tensor::from(exec, {400, 2}, points), some = Tensor::from(exec, {400}, mask);
        const Tensor out = Tensor::from(exec, {400}, labels), strays = Tensor::zeros(exec, {1}, DType::i32);
        kernels::snap_noise<float>(exec, at.view<const float, 2>(),
                                   {some.data<uint8_t>(), {-5, 60, -5, 60}, strays.data<int32_t>()}, rule, eps,
                                   out.view<int32_t, 1>());
        CHECK(out.to_host<int32_t>(exec) == want);
        CHECK(strays.to_host<int32_t>(exec)[0] == 0);
      }
    }
  }
}

TEST_CASE("snap: coordinates that are not finite are refused") {
  CHECK_THROWS_AS(snap(Exec{}, std::vector<double>{0, 0, 1, std::nan("")}, {0, -1}), Error);
}

TEST_CASE("snap: the same labels at 1, 2 and 7 threads") {
  const std::vector<double> points = test::uniform<double>(60000, 0, 200, 6);
  const std::vector<int32_t> labels = some_noise(30000, 6, 40, 50);
  const int before = omp_get_max_threads();
  std::vector<int32_t> first;
  for (const int threads : {1, 2, 7}) {
    omp_set_num_threads(threads);
    const std::vector<int32_t> snapped = snap(Exec{}, points, labels);
    if (first.empty()) first = snapped;
    CHECK(snapped == first);
  }
  omp_set_num_threads(before);
}

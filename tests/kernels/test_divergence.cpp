#include <omp.h>

#include <algorithm>
#include <cmath>

#include "engine/json.h"
#include "engine/tensor.h"
#include "kernels/flow/divergence.h"
#include "models/methods/vector_fields.h"
#include "models/registry.h"
#include "tests/support/support.h"

using namespace basin;
using namespace basin::test;
using kernels::DivergenceRange;

namespace {

std::vector<float> rescaled(const Exec& exec, int h, int w, const std::vector<float>& field,
                            const std::vector<uint8_t>& mask, const DivergenceRange& range = {}) {
  const Tensor f = Tensor::from(exec, {2, h, w}, field), m = Tensor::from(exec, {h, w}, mask);
  const Tensor to = Tensor::empty(exec, {2, h, w});
  kernels::rescale_by_divergence(exec, f.view<const float, 3>(), m.view<const uint8_t, 2>(), range,
                                 to.view<float, 3>());
  return to.to_host<float>(exec);
}

/// Computed directly from the definition, in double.
std::vector<double> naive(int h, int w, const std::vector<float>& field, const std::vector<uint8_t>& mask,
                          const DivergenceRange& range) {
  const size_t n = mask.size();
  std::vector<double> unit(2 * n), divergence(n);
  for (size_t i = 0; i < n; ++i) {
    const double x = field[i], y = field[n + i], length = std::hypot(x, y);
    if (mask[i] && length > 0 && std::isfinite(length)) unit[i] = x / length, unit[n + i] = y / length;
  }
  const auto slope = [&](size_t component, int y, int x, int dy, int dx) {
    const auto inside = [&](int v, int u) { return v >= 0 && v < h && u >= 0 && u < w; };
    const auto at = [&](int v, int u) { return unit[component * n + size_t(v * w + u)]; };
    const bool before = inside(y - dy, x - dx), after = inside(y + dy, x + dx);
    const double a = before ? at(y - dy, x - dx) : at(y, x), b = after ? at(y + dy, x + dx) : at(y, x);
    return before && after ? (b - a) / 2 : b - a;
  };
  for (int y = 0; y < h; ++y)
    for (int x = 0; x < w; ++x)
      divergence[size_t(y * w + x)] = slope(0, y, x, 0, 1) + slope(1, y, x, 1, 0);
  std::vector<double> sorted(divergence);
  std::sort(sorted.begin(), sorted.end());
  const auto percentile = [&](double q) {
    const double rank = q / 100 * double(n - 1);
    const size_t k = size_t(rank);
    return sorted[k] + (rank - double(k)) * (sorted[std::min(k + 1, n - 1)] - sorted[k]);
  };
  const double low = percentile(range.low), high = percentile(range.high);
  for (size_t i = 0; i < 2 * n; ++i)
    if (high > low) unit[i] *= std::clamp((divergence[i % n] - low) / (high - low), 0.0, 1.0);
  return unit;
}

}  // namespace

TEST_CASE("divergence: values by hand") {
  // One row: two objects whose vectors diverge in the middle. Unit vectors -1 -1 1 1, background 0 at the end.
  const std::vector<float> field{-2, -0.5f, 3, 8, 7, 0, 0, 0, 0, 0};
  const std::vector<uint8_t> mask{1, 1, 1, 200, 0};
  for (const Exec& exec : execs()) {
    // Divergences 0, 1, 1, -.5, -1; from -1 to 1 they become .5, 1, 1, .25, 0.
    CHECK(rescaled(exec, 1, 5, field, mask, {0, 100}) == std::vector<float>{-.5f, -1, 1, .25f, 0, 0, 0, 0, 0, 0});
    // Sorted -1, -.5, 0, 1, 1; the percentiles 25 and 62.5 are -.5 and .5.
    CHECK(rescaled(exec, 1, 5, field, mask, {25, 62.5}) == std::vector<float>{-.5f, -1, 1, 0, 0, 0, 0, 0, 0, 0});
    // All equal: unit vectors.
    CHECK(rescaled(exec, 1, 2, {4, 9, 3, 0}, {1, 1}) == std::vector<float>{.8f, 1, .6f, 0});
    CHECK(rescaled(exec, 1, 1, {0, -3}, {1}) == std::vector<float>{0, -1});
    CHECK(rescaled(exec, 0, 4, {}, {}).empty());
  }
}

TEST_CASE("divergence: equals the definition, at 1, 2 and 7 threads") {
  const int before = omp_get_max_threads();
  unsigned seed = 0;
  for (const auto& [h, w] : {std::pair{37, 61}, {1, 90}, {90, 1}, {2, 2}, {130, 64}}) {
    const size_t n = size_t(h * w);
    std::vector<float> field = uniform<float>(2 * n, -2, 2, ++seed);
    std::vector<uint8_t> mask;
    for (const float v : uniform<float>(n, 0, 1, ++seed))
      mask.push_back(v < 0.7f);
    field[0] = NAN, field[n - 1] = INFINITY, field[n / 2] = field[n + n / 2] = 0;
    for (const DivergenceRange& range : {DivergenceRange{}, DivergenceRange{5, 60}})
      for (const Exec& exec : execs()) {
        std::vector<float> first;
        for (const int threads : {1, 2, 7}) {
          omp_set_num_threads(threads);
          const std::vector<float> got = rescaled(exec, h, w, field, mask, range);
          if (first.empty()) first = got;
          CHECK(got == first);
        }
        const std::vector<double> want = naive(h, w, field, mask, range);
        double worst = 0;
        for (size_t i = 0; i < 2 * n; ++i)
          worst = std::max(worst, std::isnan(first[i]) ? INFINITY : std::abs(first[i] - want[i]));
        CHECK(worst < 1e-5);
      }
  }
  omp_set_num_threads(before);
}

TEST_CASE("divergence: invalid ranges are refused") {
  const Exec cpu;
  CHECK_THROWS_AS(rescaled(cpu, 2, 2, std::vector<float>(8), std::vector<uint8_t>(4), {50, 50}), Error);
  CHECK_THROWS_AS(rescaled(cpu, 2, 2, std::vector<float>(8), std::vector<uint8_t>(4), {-1, 50}), Error);
  for (const char* text : {"", "1", "1,", "1,2,3", "99,1", "-1,5", "1,101", "a,b", "nan,5"})
    CHECK_THROWS_AS(kernels::parse_divergence_range(text), Error);
  CHECK(kernels::parse_divergence_range("0.5,99").low == 0.5);
  CHECK(kernels::parse_divergence_range("0.5,99").high == 99);
}

TEST_CASE("vector fields: decoding parameters are kept in the settings") {
  VectorFieldOptions o;
  o.net.width = 8;
  o.decoding.integrate.suppression = kernels::Suppression::omnipose;
  o.decoding.rescale = DivergenceRange{1, 98};
  const Json config = VectorFields(o).config();
  CHECK(config["decoding"]["suppression"] == "omnipose");
  CHECK(config["decoding"]["rescale"] == Json({1.0, 98.0}));
  VectorFields again("vf-h1", config);
  CHECK(again.config() == config);
  CHECK(again.decoding().rescale->high == 98);

  Json older = config;
  older["decoding"].erase("suppression");
  older["decoding"].erase("rescale");
  VectorFields plain("vf-h1", older);
  CHECK(plain.decoding().integrate.suppression == kernels::Suppression::none);
  CHECK(!plain.decoding().rescale);

  for (const Json& bad : {Json({5.0, 4.0}), Json({1.0}), Json("all"), Json({0.0, 101.0})}) {
    Json damaged = config;
    damaged["decoding"]["rescale"] = bad;
    CHECK_THROWS_AS(make_method(damaged), Error);
  }
  Json wrong = config;
  wrong["decoding"]["solver"] = "rk4";
  CHECK_THROWS_AS(make_method(wrong), Error);
}

TEST_CASE("vector fields: Omnipose's decoding recovers the labels from a perfect Omnipose field") {
  const Exec cpu;
  VectorFieldOptions o;
  o.net.width = 8, o.field.kind = kernels::FieldKind::omnipose;
  o.decoding.rescale = DivergenceRange{};
  o.decoding.integrate.suppression = kernels::Suppression::omnipose;
  o.decoding.integrate.step = 1, o.decoding.integrate.steps = 12;
  o.decoding.dbscan = {std::sqrt(2.0), 5};
  const VectorFields method(o);
  Labels truth{40, 60, 2, std::vector<int32_t>(2400)};
  for (int y = 5; y < 30; ++y)
    for (int x = 10; x < 42; ++x)
      truth.ids[size_t(y * 60 + x)] = x < 24 ? 1 : 2;
  const Labels found = method.decode(cpu, method.oracle(cpu, truth)).labels;
  CHECK(found.count == 2);
  int64_t wrong = 0;
  for (size_t i = 0; i < truth.ids.size(); ++i)
    wrong += found.ids[i] != truth.ids[i];
  CHECK(wrong < 10);
}

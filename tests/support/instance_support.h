#pragma once
// The loss of spatial embeddings, for tests: its formulas, and inputs for it.
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/ops/instance.h"
#include "tests/support/field_support.h"
#include "tests/support/support.h"

namespace basin::test {

/// A grid's labels, renumbered to 1, 2, ...
inline std::vector<int32_t> compact_ids(const Grid& g) {
  std::vector<int32_t> ids = g.ids, seen;
  for (int32_t id : ids)
    if (id > 0) seen.push_back(id);
  std::sort(seen.begin(), seen.end());
  seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
  for (int32_t& id : ids)
    if (id > 0) id = int32_t(std::lower_bound(seen.begin(), seen.end(), id) - seen.begin()) + 1;
  return ids;
}

inline InstanceTargets targets_of(const Exec& exec, const Grid& g, int capacity,
                                  kernels::CentreKind kind = kernels::CentreKind::medoid) {
  return instance_targets(exec, Tensor::from(exec, {1, 1, g.height, g.width}, compact_ids(g)), capacity, kind);
}

struct LossValues {
  double total, instance, variance, seed;
};

/// The published formulas for one crop; all pixels are sorted for each object. `ids`: one or more layers.
inline LossValues loss_by_formula(const Grid& g, const std::vector<double>& raw, const std::vector<double>& centre,
                                  int objects, const std::vector<int32_t>& ids) {
  const size_t n = raw.size() / 5;
  const auto owns = [&](int k, size_t i) {
    for (; i < ids.size(); i += n)
      if (ids[i] == k) return true;
    return false;
  };
  const auto phi = [&](size_t i) { return 1 / (1 + std::exp(-raw[4 * n + i])); };
  const auto e = [&](size_t i, int c) {
    return double(c == 0 ? i % size_t(g.width) : i / size_t(g.width)) / 1023 + std::tanh(raw[size_t(c) * n + i]);
  };
  LossValues v{};
  std::vector<bool> background(n, true);
  for (int k = 1; k <= objects; ++k) {
    const double area = double(std::count(ids.begin(), ids.end(), k));
    double mean[2] = {}, spread = 0;
    for (int c = 0; c < 2; ++c) {
      for (size_t i = 0; i < n; ++i)
        if (owns(k, i)) mean[c] += raw[size_t(2 + c) * n + i] / area;
      for (size_t i = 0; i < n; ++i)
        if (owns(k, i)) spread += std::pow(raw[size_t(2 + c) * n + i] - mean[c], 2) / (2 * area);
    }
    std::vector<std::pair<double, int>> errors;
    for (size_t i = 0; i < n; ++i) {
      double u = 0;
      for (int c = 0; c < 2; ++c)
        u += std::exp(10 * mean[c]) * std::pow(e(i, c) - centre[size_t(2 * (k - 1) + c)] / 1023, 2);
      const double d = std::exp(-u);
      const bool own = owns(k, i);
      if (own) background[i] = false, v.seed += 10 * std::pow(phi(i) - d, 2) / double(n);
      errors.push_back({-(1 - (2 * d - 1) * (own ? 1 : -1)), own});
    }
    std::sort(errors.begin(), errors.end());
    double in = 0, out = 0, before = 0, hinge = 0;
    for (const auto& [minus_error, own] : errors) {
      (own ? in : out) += 1;
      const double j = 1 - (area - in) / (area + out);
      hinge += -minus_error * (j - before);
      before = j;
    }
    v.instance += hinge / objects;
    v.variance += spread / objects;
  }
  for (size_t i = 0; i < n; ++i)
    if (background[i]) v.seed += std::pow(phi(i), 2) / double(n);
  v.total = v.instance + 10 * v.variance + v.seed;
  return v;
}

/// Maps with values in the ranges that a network has during training.
inline std::vector<double> raw_maps(size_t pixels, double offset, double sigma, double spread, unsigned seed) {
  std::vector<double> raw = uniform<double>(2 * pixels, -offset, offset, seed);
  const std::vector<double> sigmas = uniform<double>(2 * pixels, sigma - spread, sigma + spread, seed + 1);
  const std::vector<double> seeds = uniform<double>(pixels, -3, 3, seed + 2);
  raw.insert(raw.end(), sigmas.begin(), sigmas.end());
  raw.insert(raw.end(), seeds.begin(), seeds.end());
  return raw;
}

}  // namespace basin::test

#include <cmath>
#include <functional>

#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/field/affinity_field.h"
#include "kernels/field/centroid_field.h"
#include "kernels/field/distance_field.h"
#include "kernels/field/edt.h"
#include "kernels/field/omnipose_field.h"
#include "kernels/runtime/philox.h"
#include "tools/bench/bench.h"

namespace basin::tools {
namespace {

constexpr double pitch = 1024.0 / 52;  // 52 x 52 = 2,704 objects in 1024 x 1024

struct Ellipse {
  double x, y, a, b, cos, sin;

  double norm(int px, int py) const {
    const double dx = px - x, dy = py - y, u = (dx * cos + dy * sin) / a, v = (dy * cos - dx * sin) / b;
    return u * u + v * v;
  }
};

/// Tilted ellipses around the jittered points of a square lattice, with half axes of 0.35 to 0.55 of the lattice
/// constant. A pixel inside several belongs to the one it lies deepest in, so many objects touch.
Labels crowd(int height, int width, uint64_t seed) {
  const int down = int(std::lround(height / pitch)), across = int(std::lround(width / pitch));
  std::vector<Ellipse> ellipses;
  for (int i = 0; i < down; ++i)
    for (int j = 0; j < across; ++j) {
      Random random(seed, Purpose::synth, uint32_t(i), uint64_t(j));
      const double x = (j + 0.5 + random.uniform(-.12f, .12f)) * pitch,
                   y = (i + 0.5 + random.uniform(-.12f, .12f)) * pitch;
      const double a = random.uniform(.35f, .55f) * pitch, b = random.uniform(.35f, .55f) * pitch;
      const double tilt = random.uniform(0.f, 3.14159f);
      ellipses.push_back({x, y, a, b, std::cos(tilt), std::sin(tilt)});
    }
  Labels labels{height, width, down * across, std::vector<int32_t>(size_t(height) * size_t(width))};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      double deepest = 1;
      for (int i = int(y / pitch) - 1; i <= int(y / pitch) + 1; ++i)
        for (int j = int(x / pitch) - 1; j <= int(x / pitch) + 1; ++j) {
          if (i < 0 || j < 0 || i >= down || j >= across) continue;
          const double norm = ellipses[size_t(i * across + j)].norm(x, y);
          if (norm > deepest) continue;
          deepest = norm;
          labels.ids[size_t(y) * size_t(width) + size_t(x)] = 1 + i * across + j;
        }
    }
  return labels;
}

using Launch = std::function<void(const Exec&, View<const int32_t, 2>, View<float, 3>)>;

std::vector<float> field_of(const Exec& exec, const Labels& labels, const Launch& launch) {
  const Tensor ids = Tensor::from(exec, {labels.height, labels.width}, labels.ids);
  const Tensor field = Tensor::empty(exec, {2, labels.height, labels.width});
  launch(exec, ids.view<const int32_t, 2>(), field.view<float, 3>());
  return field.to_host<float>(exec);
}

/// If a field has a plain version, the tuned one must give the same bits, or on the GPU the same values to 1e-5.
void check(const BenchOptions& options, const std::string& name, const Launch& launch) {
  const Labels few = crowd(160, 200, options.seed);
  Exec plain = options.exec;
  plain.variant = Variant::plain;
  const std::vector<float> got = field_of(options.exec, few, launch), want = field_of(plain, few, launch);
  const float tolerance = options.exec.device == Device::cpu ? 0.f : 1e-5f;
  for (size_t i = 0; i < got.size(); ++i)
    BASIN_CHECK(std::abs(got[i] - want[i]) <= tolerance, name, ", element ", i, ": ", got[i], " and ", want[i]);
}

BenchResult time_field(const BenchOptions& options, const std::string& name, const Labels& labels,
                       const Launch& launch) {
  check(options, name, launch);
  const Tensor ids = Tensor::from(options.exec, {labels.height, labels.width}, labels.ids);
  const Tensor field = Tensor::empty(options.exec, {2, labels.height, labels.width});
  const std::string shape = std::to_string(labels.height) + "x" + std::to_string(labels.width) + ", " +
                            std::to_string(labels.count) + " objects";
  BenchResult r = time_it(options, name, shape,
                          [&] { launch(options.exec, ids.view<const int32_t, 2>(), field.view<float, 3>()); });
  r.bytes = 12.0 * labels.height * labels.width;  // labels read, field written
  return r;
}

}  // namespace

std::vector<BenchResult> bench_field(const BenchOptions& asked) {
  const BenchOptions options = with_pool(asked);
  const Launch sdf = [](const Exec& exec, View<const int32_t, 2> labels, View<float, 3> field) {
    kernels::sdf_field(exec, labels, {}, field);
  };
  const Launch affinity = [](const Exec& exec, View<const int32_t, 2> labels, View<float, 3> field) {
    kernels::affinity_field(exec, labels, 11, field);
  };
  const Launch centroid = [](const Exec& exec, View<const int32_t, 2> labels, View<float, 3> field) {
    kernels::centroid_field(exec, labels, kernels::CentroidMode::unit, field);
  };
  const Labels labels = options.input.empty() ? crowd(1024, 1024, options.seed) : read_labels(options.input);
  std::vector<BenchResult> results{time_field(options, "field, sdf", labels, sdf)};
  if (options.input.empty()) {
    results.push_back(time_field(options, "field, sdf", crowd(2048, 1024, options.seed), sdf));
    results.push_back(time_field(options, "field, sdf", crowd(4096, 4096, options.seed), sdf));
    results.push_back(time_field(options, "field, sdf of a crop", crowd(286, 286, options.seed), sdf));
  }
  results.push_back(time_field(options, "field, affinity", labels, affinity));
  results.push_back(time_field(options, "field, omnipose", labels, kernels::omnipose_field));
  results.push_back(time_field(options, "field, centroid", labels, centroid));
  return results;
}

}  // namespace basin::tools

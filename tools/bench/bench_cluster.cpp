#include <algorithm>
#include <cmath>

#include "data/arrays/npy.h"
#include "engine/pool.h"
#include "engine/tensor.h"
#include "kernels/cluster/dbscan.h"
#include "kernels/image/components.h"
#include "kernels/runtime/philox.h"
#include "tools/bench/bench.h"
#include "tools/cli/arrays.h"

namespace basin::tools {
namespace {

using kernels::DbscanOptions;

constexpr int lattice_pitch = 20;  // round cells on a jittered lattice
constexpr double radius = 8.5;     // px

struct Centre {
  double x, y;
};

Centre centre_near(uint64_t seed, int y, int x) {
  Random random(seed, Purpose::synth, uint32_t(y / lattice_pitch), uint64_t(x / lattice_pitch));
  const double dx = random.uniform(-1.5f, 1.5f), dy = random.uniform(-1.5f, 1.5f);
  return {(x / lattice_pitch + 0.5) * lattice_pitch + dx, (y / lattice_pitch + 0.5) * lattice_pitch + dy};
}

/// Adds the foreground pixels of rows [y0, y1) until there are n points.
template <class T>
void add_moved_pixels(int y0, int y1, int width, int64_t n, double pull, uint64_t seed, Random& random,
                      std::vector<T>& points) {
  for (int y = y0; y < y1; ++y)
    for (int x = 0; x < width && int64_t(points.size()) < 2 * n; ++x) {
      const Centre c = centre_near(seed, y, x);
      const double dx = c.x - x, dy = c.y - y, distance = std::hypot(dx, dy);
      if (distance >= radius) continue;
      const double share_moved = distance > pull ? pull / distance : 1;
      const double r = 0.15 * std::sqrt(-2 * std::log(1 - double(random.uniform()))),
                   angle = 2 * M_PI * random.uniform();
      points.push_back(T(x + dx * share_moved + r * std::cos(angle)));
      points.push_back(T(y + dy * share_moved + r * std::sin(angle)));
    }
}

int width_of(int64_t n) {
  const double share = M_PI * radius * radius / (lattice_pitch * lattice_pitch);
  return (int(std::sqrt(double(n) / share)) / lattice_pitch + 2) * lattice_pitch;
}

/// The first n foreground pixels of a square image of cells, each moved `pull` px towards the centre of its cell and
/// then by random noise of 0.15 px (standard deviation): like the points that integrating a vector field gives.
template <class T>
std::vector<T> moved_pixels(int64_t n, double pull, uint64_t seed) {
  Random random(seed, Purpose::noise);
  std::vector<T> points;
  points.reserve(size_t(2 * n));
  for (int y = 0; int64_t(points.size()) < 2 * n; ++y)
    add_moved_pixels(y, y + 1, width_of(n), n, pull, seed, random, points);
  return points;
}

/// The same number of points from a band of cells that is repeated downwards: generated in a hundredth of the time.
struct Bands {
  int64_t size;  // points of one band
  std::vector<float> points;
};
Bands banded_pixels(int64_t n, double pull, uint64_t seed) {
  constexpr int height = 10 * lattice_pitch;
  Random random(seed, Purpose::noise);
  Bands bands;
  add_moved_pixels(0, height, width_of(n), n, pull, seed, random, bands.points);
  for (float& v : bands.points)
    v = std::round(v * 1024) / 1024;  // exact up to 16,384 px, so that all bands have the same bits
  bands.size = int64_t(bands.points.size() / 2);
  bands.points.resize(size_t(2 * n));
  for (int64_t i = bands.size; i < n; ++i) {
    bands.points[size_t(2 * i)] = bands.points[size_t(2 * (i - bands.size))];
    bands.points[size_t(2 * i + 1)] = bands.points[size_t(2 * (i - bands.size) + 1)] + float(height);
  }
  return bands;
}

/// DBSCAN straight from its definition, in O(N^2).
template <class T>
std::vector<int32_t> label_by_definition(const std::vector<T>& points, const DbscanOptions& options) {
  const size_t n = points.size() / 2;
  const auto near = [&](size_t i, size_t j) {
    const double dx = double(points[2 * i]) - points[2 * j], dy = double(points[2 * i + 1]) - points[2 * j + 1];
    return dx * dx + dy * dy <= options.eps * options.eps;
  };
  std::vector<uint8_t> core(n);
  for (size_t i = 0; i < n; ++i) {
    int count = 0;
    for (size_t j = 0; j < n; ++j)
      count += near(i, j);
    core[i] = count >= options.min_samples;
  }
  std::vector<int32_t> labels(n, -1);
  int32_t next = 0;
  for (size_t seed = 0; seed < n; ++seed) {
    if (!core[seed] || labels[seed] >= 0) continue;
    labels[seed] = next;
    std::vector<size_t> stack{seed};
    while (!stack.empty()) {
      const size_t i = stack.back();
      stack.pop_back();
      for (size_t j = 0; j < n; ++j)
        if (labels[j] < 0 && near(i, j)) {
          labels[j] = next;
          if (core[j]) stack.push_back(j);
        }
    }
    ++next;
  }
  return labels;
}

template <class T>
struct DbscanWork {
  Tensor points, labels;

  DbscanWork(const Exec& exec, const std::vector<T>& values)
      : points(Tensor::from(exec, {int64_t(values.size() / 2), 2}, values)),
        labels(Tensor::empty(exec, {int64_t(values.size() / 2)}, DType::i32)) {}

  int64_t run(const Exec& exec, const DbscanOptions& options) const {
    return kernels::dbscan<T>(exec, points.view<const T, 2>(), options, labels.view<int32_t, 1>());
  }
};

const DbscanOptions as_published{2.2, 15};

/// The least memory traffic per point. Its coordinates are read, written to the grid's cells, and read there twice, for
/// counting neighbours and for uniting cells. These take 4 bytes each: its cell and its slot (written and read),
/// whether it is a core point, its parent (written, united and flattened), the rank of the parent, and the label.
template <class T>
constexpr double dbscan_bytes = 8 * sizeof(T) + 4 * 10;

template <class T>
BenchResult time_dbscan(const BenchOptions& asked, const std::string& name, const std::vector<T>& points,
                        const std::function<void(const std::vector<int32_t>&)>& check = {}) {
  Pool pool(asked.exec.device);
  BenchOptions options = asked;
  options.exec.scratch = &pool;
  const DbscanWork<T> work(options.exec, points);
  if (check) {
    work.run(options.exec, as_published);
    check(work.labels.template to_host<int32_t>(options.exec));
  }
  BenchResult r =
      time_it(options, name, std::to_string(points.size() / 2) + " points, float" + std::to_string(8 * sizeof(T)),
              [&] { work.run(options.exec, as_published); });
  r.bytes = dbscan_bytes<T> * double(points.size() / 2);
  r.peak_bytes = double(pool.use().peak_lent);
  return r;
}

template <class T>
BenchResult time_dbscan(const BenchOptions& options, const std::string& name, int64_t n, double pull) {
  const std::vector<T> few = moved_pixels<T>(5000, pull, options.seed);
  const DbscanWork<T> small(options.exec, few);
  small.run(options.exec, as_published);
  const std::vector<int32_t> labels = small.labels.template to_host<int32_t>(options.exec);
  BASIN_CHECK(labels == label_by_definition(few, as_published), name);
  return time_dbscan(options, name, moved_pixels<T>(n, pull, options.seed));
}

/// Every band must have the labels of the first, offset by the clusters of the bands before it.
BenchResult time_dbscan_of_bands(const BenchOptions& options, const std::string& name, int64_t n, double pull) {
  const Bands bands = banded_pixels(n, pull, options.seed);
  return time_dbscan<float>(options, name, bands.points, [&](const std::vector<int32_t>& labels) {
    const int32_t clusters = 1 + *std::max_element(labels.begin(), labels.begin() + bands.size);
    for (int64_t i = bands.size; i < n; ++i) {
      const int32_t above = labels[size_t(i - bands.size)];
      // The last band may be cut off within a cell.
      if (i + 2 * width_of(n) * lattice_pitch > n) break;
      BASIN_CHECK(labels[size_t(i)] == (above < 0 ? above : above + clusters), name, ", point ", i);
    }
  });
}

std::vector<uint8_t> mask_of_cells(int height, int width, uint64_t seed) {
  std::vector<uint8_t> mask(size_t(height) * size_t(width));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const Centre c = centre_near(seed, y, x);
      mask[size_t(y) * size_t(width) + size_t(x)] = std::hypot(c.x - x, c.y - y) < radius;
    }
  return mask;
}

std::vector<uint8_t> random_mask(int height, int width, double share, uint64_t seed) {
  Random random(seed, Purpose::noise);
  std::vector<uint8_t> mask(size_t(height) * size_t(width));
  for (uint8_t& m : mask)
    m = random.uniform() < share;
  return mask;
}

BenchResult time_components(const BenchOptions& options, const std::string& name, const std::vector<uint8_t>& pixels,
                            int height, int width, int connectivity) {
  const Tensor mask = Tensor::from(options.exec, {height, width}, pixels);
  const Tensor labels = Tensor::empty(options.exec, {height, width}, DType::i32);
  const auto run = [&](Variant variant) {
    Exec exec = options.exec;
    exec.variant = variant;
    return kernels::components(exec, mask.view<const uint8_t, 2>(), connectivity, labels.view<int32_t, 2>());
  };
  run(Variant::plain);
  const std::vector<int32_t> want = labels.to_host<int32_t>(options.exec);
  run(Variant::automatic);
  BASIN_CHECK(labels.to_host<int32_t>(options.exec) == want, name);
  BenchResult r =
      time_it(options, name,
              std::to_string(height) + "x" + std::to_string(width) + ", " + std::to_string(connectivity) + "-connected",
              [&] { run(Variant::automatic); });
  r.bytes = 5.0 * height * width;  // mask read, labels written
  return r;
}

}  // namespace

std::vector<BenchResult> bench_dbscan(const BenchOptions& asked) {
  const BenchOptions options = with_pool(asked);
  if (!options.input.empty()) {
    const Array points = read_npy(options.input);
    if (!points.is_real() || points.shape.size() != 2 || points.shape[1] != 2)
      refuse(options.input, ": expected points [N, 2] of float32 or float64");
    if (points.type == ElementType::f32) return {time_dbscan(options, "dbscan, input", points.values<float>())};
    return {time_dbscan(options, "dbscan, input", points.values<double>())};
  }
  constexpr int64_t million = 1000000;
  std::vector<BenchResult> results{time_dbscan<float>(options, "dbscan, contracted", million, 2.5),
                                   time_dbscan<double>(options, "dbscan, contracted", million, 2.5),
                                   time_dbscan<float>(options, "dbscan, contracted", 2 * million, 2.5),
                                   time_dbscan<float>(options, "dbscan, converged", million, 6.5)};
  if (options.exec.device == Device::cuda &&
      has_room(options.exec, 100 * results[0].peak_bytes, "dbscan of 100000000 points"))
    results.push_back(time_dbscan_of_bands(options, "dbscan, contracted, banded", 100 * million, 2.5));
  return results;
}

std::vector<BenchResult> bench_components(const BenchOptions& asked) {
  const BenchOptions options = with_pool(asked);
  if (!options.input.empty()) {
    const Mask mask = read_mask(options.input);
    const auto time = [&](int connectivity) {
      return time_components(options, "components, input", mask.pixels, mask.height, mask.width, connectivity);
    };
    return {time(4), time(8)};
  }
  const std::vector<uint8_t> cells = mask_of_cells(4096, 4096, options.seed);
  const std::vector<uint8_t> twice = mask_of_cells(8192, 4096, options.seed);
  const std::vector<uint8_t> half = random_mask(4096, 4096, 0.5, options.seed);
  const std::vector<uint8_t> more = random_mask(4096, 4096, 0.6, options.seed);
  return {time_components(options, "components, cells", cells, 4096, 4096, 4),
          time_components(options, "components, cells", cells, 4096, 4096, 8),
          time_components(options, "components, cells", twice, 8192, 4096, 4),
          time_components(options, "components, random half", half, 4096, 4096, 4),
          time_components(options, "components, random half", half, 4096, 4096, 8),
          time_components(options, "components, random 60 %", more, 4096, 4096, 4)};
}

}  // namespace basin::tools

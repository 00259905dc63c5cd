#include "kernels/field/distance_field.h"

#include <cmath>

#include "kernels/field/distance_field_cpu.h"
#include "kernels/field/tuned_distance_field.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

BASIN_HD bool is(View<const int32_t, 2> labels, int y, int x, int32_t id) {
  return y >= 0 && x >= 0 && y < labels.dim[0] && x < labels.dim[1] && labels(y, x) == id;
}

/// Squared distance from (x, y) to the nearest pixel for which (label == id) equals `wanted`; `limit` if none is
/// nearer.
BASIN_HD int nearest_squared(View<const int32_t, 2> labels, int y, int x, int32_t id, bool wanted, int limit) {
  int best = limit;
  for (int ring = 1; ring * ring < best; ++ring)
    for (int d = -ring; d <= ring; ++d) {
      const int squared = ring * ring + d * d;
      if (squared < best && (is(labels, y - ring, x + d, id) == wanted || is(labels, y + ring, x + d, id) == wanted ||
                             is(labels, y + d, x - ring, id) == wanted || is(labels, y + d, x + ring, id) == wanted))
        best = squared;
    }
  return best;
}

struct InsideDistance {
  View<const int32_t, 2> labels;
  int truncate;
  View<float, 2> distance;
  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int32_t id = labels(y, x);
    distance(y, x) = id == 0 ? 0.f : sqrtf(float(nearest_squared(labels, y, x, id, false, truncate * truncate)));
  }
};

struct SdfField {
  View<const int32_t, 2> labels;
  View<const float, 2> inside;
  HalfGaussian gaussian;
  View<float, 3> field;

  BASIN_HD float distance(int y, int x, int32_t id) const {
    if (is(labels, y, x, id)) return inside(y, x);
    return -sqrtf(float(nearest_squared(labels, y, x, id, true, 2 * gaussian.radius * gaussian.radius + 1)));
  }
  BASIN_HD void row(int y, int x, int32_t id, float& smooth, float& difference) const {
    smooth = gaussian.weight[0] * distance(y, x, id);
    difference = 0;
    for (int j = 1; j <= gaussian.radius; ++j) {
      const float before = distance(y, x - j, id), after = distance(y, x + j, id);
      smooth += gaussian.weight[j] * (after + before);
      difference += gaussian.weight[j] * (after - before);
    }
  }
  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int32_t id = labels(y, x);
    float f_x = 0, f_y = 0;
    if (id != 0) {
      float smooth, difference, smooth_below, difference_below;
      row(y, x, id, smooth, difference);
      f_x = gaussian.weight[0] * difference;
      for (int i = 1; i <= gaussian.radius; ++i) {
        row(y - i, x, id, smooth, difference);
        row(y + i, x, id, smooth_below, difference_below);
        f_x += gaussian.weight[i] * (difference_below + difference);
        f_y += gaussian.weight[i] * (smooth_below - smooth);
      }
    }
    field(0, y, x) = f_x;
    field(1, y, x) = f_y;
  }
};

}  // namespace

int sdf_field_margin(const SdfFieldOptions& options) {
  const int radius = options.kernel / 2, outside = int(std::sqrt(2.0 * radius * radius));
  return radius + (options.truncate > outside ? options.truncate : outside);
}

void sdf_field(const Exec& exec, View<const int32_t, 2> labels, const SdfFieldOptions& options, View<float, 3> field) {
  BASIN_CHECK(options.truncate >= 1 && options.truncate <= 30000, "truncate = ", options.truncate);
  BASIN_CHECK(options.kernel >= 3 && options.kernel % 2 == 1 && options.kernel / 2 <= HalfGaussian::max_radius,
              "kernel = ", options.kernel);
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(field.dim[0] == 2 && field.dim[1] == height && field.dim[2] == width, "labels ", labels, ", field ",
              field);
  if (labels.size() == 0) return;
  const HalfGaussian gaussian(options.kernel / 2);

  if (exec.device == Device::cpu && exec.variant != Variant::plain && SdfTile::applies(options))
    return for_each_tile<SdfTile>(exec, labels, options, gaussian, field);
#ifdef __CUDACC__
  if (exec.device == Device::cuda && exec.variant != Variant::plain &&
      tuned::sdf_field(exec, labels, options, gaussian, field))
    return;
#endif
  Temp<float> memory(exec, labels.size());
  const View<float, 2> inside{memory.data(), {height, width}};
  for_each_row(exec, height, width, InsideDistance{labels, options.truncate, inside});
  for_each_row(exec, height, width, SdfField{labels, inside, gaussian, field});
}

}  // namespace basin::kernels

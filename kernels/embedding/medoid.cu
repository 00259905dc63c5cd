#include <cmath>

#include "kernels/embedding/objects.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct Pixel {
  int x, y;
};

/// One object within its bounding box.
struct ObjectPixels {
  View<const int32_t, 2> labels;  // the layer that contains it
  int32_t label;
  int x0, y0, x1, y1;

  BASIN_HD bool has(int y, int x) const { return labels(y, x) == label; }
  BASIN_HD int64_t at(int y, int x) const { return int64_t(y) * labels.dim[1] + x; }
  /// Calls f(y, x) for each pixel of the object in raster order.
  template <class F>
  BASIN_HD void each(const F& f) const {
    for (int y = y0; y <= y1; ++y)
      for (int x = x0; x <= x1; ++x)
        if (has(y, x)) f(y, x);
  }
};

/// The sum of the distances from a pixel to all pixels of the object, and a subgradient of it.
struct DistanceSum {
  double value = 0, d_x = 0, d_y = 0;

  BASIN_HD DistanceSum(const ObjectPixels& object, Pixel from) {
    object.each([&](int y, int x) {
      const double dx = from.x - x, dy = from.y - y, distance = sqrt(dx * dx + dy * dy);
      const double inverse = 1 / (distance > 0 ? distance : 1);
      value += distance;
      d_x += dx * inverse;
      d_y += dy * inverse;
    });
  }
  /// A lower bound of the sum at another pixel, by convexity.
  BASIN_HD double bound_at(int x, int y, Pixel from) const { return value + d_x * (x - from.x) + d_y * (y - from.y); }
};

/// Kelley's cutting-plane method on the pixels of the object: the next pixel to try is the one with the smallest bound.
/// bound: memory as large as the layer.
BASIN_HD Pixel medoid(const ObjectPixels& object, Pixel start, double* bound) {
  constexpr double equal = 1e-10, tried = 1e300;
  object.each([&](int y, int x) { bound[object.at(y, x)] = 0; });
  Pixel best = start, next = start;
  double least = tried;
  for (;;) {
    const DistanceSum sum(object, next);
    const bool is_less = sum.value < least * (1 - equal), is_equal = !is_less && sum.value <= least * (1 + equal);
    if (is_less || (is_equal && object.at(next.y, next.x) < object.at(best.y, best.x))) best = next;
    if (sum.value < least) least = sum.value;
    const Pixel from = next;
    double least_bound = tried;
    bound[object.at(from.y, from.x)] = tried;
    object.each([&](int y, int x) {
      double& b = bound[object.at(y, x)];
      const double of_this = sum.bound_at(x, y, from);
      if (of_this > b) b = of_this;
      if (b < least_bound) least_bound = b, next = {x, y};
    });
    if (least_bound > least * (1 + equal)) return best;
  }
}

/// Twice the median of the coordinates along an axis, so that the mean of two middle ones is an integer.
template <class CountAt>
BASIN_HD int twice_median(int area, int first, const CountAt& count_at) {
  int before = 0, low = first - 1;
  for (int at = first;; ++at) {
    before += count_at(at);
    if (low < first && 2 * before >= area) low = at;
    if (2 * before > area) return low + at;
  }
}

BASIN_HD Pixel nearest(const ObjectPixels& object, int twice_x, int twice_y) {
  Pixel best{object.x0, object.y0};
  int64_t least = INT64_MAX;
  object.each([&](int y, int x) {
    const int64_t dx = 2 * x - twice_x, dy = 2 * y - twice_y, distance = dx * dx + dy * dy;
    if (distance < least) least = distance, best = {x, y};
  });
  return best;
}

struct Centre {
  View<const int32_t, 4> labels;
  ObjectTable table;
  CentreKind kind;
  double* bound;  // [N, L, H, W], for the medoid
  View<double, 3> centre;

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(i / table.capacity()), k = int(i % table.capacity()), area = table.area(n, k);
    double* to = centre.data + 2 * i;
    to[0] = to[1] = 0;
    if (area == 0) return;
    const int32_t* box = table.box.data + 4 * i;
    const int height = labels.dim[2], width = labels.dim[3];
    const int64_t first = (int64_t(n) * labels.dim[1] + table.layer(n, k)) * height * width;
    const ObjectPixels object{{labels.data + first, {height, width}}, k + 1, box[0], box[1], box[2], box[3]};
    int64_t sum_x = 0, sum_y = 0;
    object.each([&](int y, int x) { sum_x += x, sum_y += y; });
    const double mean_x = double(sum_x) / area, mean_y = double(sum_y) / area;
    if (kind == CentreKind::centroid) {
      const int x = int(rint(mean_x)), y = int(rint(mean_y));
      const bool inside = object.has(y, x);
      to[0] = inside ? x : mean_x;
      to[1] = inside ? y : mean_y;
      return;
    }
    Pixel p;
    if (kind == CentreKind::medoid) {
      p = medoid(object, nearest(object, int(rint(2 * mean_x)), int(rint(2 * mean_y))), bound + first);
    } else {
      const int x = twice_median(area, object.x0, [&](int column) {
        int count = 0;
        for (int y = object.y0; y <= object.y1; ++y)
          count += object.has(y, column);
        return count;
      });
      const int y = twice_median(area, object.y0, [&](int row) {
        int count = 0;
        for (int column = object.x0; column <= object.x1; ++column)
          count += object.has(row, column);
        return count;
      });
      p = nearest(object, x, y);
    }
    to[0] = p.x;
    to[1] = p.y;
  }
};

}  // namespace

void object_centres(const Exec& exec, View<const int32_t, 4> labels, const ObjectTable& table, CentreKind kind,
                    View<double, 3> centre) {
  BASIN_CHECK(centre.dim[0] == labels.dim[0] && centre.dim[1] == table.capacity() && centre.dim[2] == 2 &&
                  table.area.dim[0] == labels.dim[0] && table.layer.dim[0] == labels.dim[0],
              "labels ", labels, ", areas ", table.area, ", centres ", centre);
  const Temp<double> bound(exec, kind == CentreKind::medoid ? labels.size() : 0);
  const Centre f{labels, table, kind, bound.data(), centre};
  const int64_t n = table.area.size();
  if (exec.device == Device::cpu) return for_each_task(n, f);
  for_each(exec, n, f);
}

}  // namespace basin::kernels

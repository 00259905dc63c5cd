#include <cmath>

#include "kernels/roi/detection.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr double min_overlap = 0.7;

/// CornerNet's three cases: the box overlaps the object's box at one corner, lies inside it, or contains it. As in the
/// published code, the first two are not divided by 2a; in practice the third radius is the smallest.
BASIN_HD int radius_of(int height, int width) {
  const double sum = height + width, area = double(height) * width, o = min_overlap;
  const double c1 = area * (1 - o) / (1 + o), r1 = (sum + sqrt(sum * sum - 4 * c1)) / 2;
  const double b2 = 2 * sum, c2 = (1 - o) * area, r2 = (b2 + sqrt(b2 * b2 - 16 * c2)) / 2;
  const double a3 = 4 * o, b3 = -2 * o * sum, c3 = (o - 1) * area, r3 = (b3 + sqrt(b3 * b3 - 4 * a3 * c3)) / 2;
  double least = r1 < r2 ? r1 : r2;
  least = r3 < least ? r3 : least;
  return least > 0 ? int(least) : 0;
}

/// One object in px of the map.
struct Centre {
  float x, y, width, height;
  int cell_x, cell_y;

  BASIN_HD explicit Centre(const float* box)
      : x(box[0] / detection_down),
        y(box[1] / detection_down),
        width(box[2] / detection_down),
        height(box[3] / detection_down),
        cell_x(int(x)),
        cell_y(int(y)) {}
  BASIN_HD int radius() const { return radius_of(int(ceilf(height)), int(ceilf(width))); }
};

template <class T>
struct TablesOfObject {
  View<const float, 3> box;
  const int32_t* count;
  View<int32_t, 2> cell;
  int height, width;
  View<T, 3> size, offset;
  int32_t* radius;  // [N, K]

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(i / box.dim[1]), k = int(i % box.dim[1]);
    const Centre c(box.data + 4 * i);
    const bool is_object = k < count[n] && c.cell_x >= 0 && c.cell_x < width && c.cell_y >= 0 && c.cell_y < height;
    cell.data[i] = is_object ? c.cell_y * width + c.cell_x : -1;
    radius[i] = is_object ? c.radius() : 0;
    size.data[2 * i] = is_object ? T(c.width) : 0;
    size.data[2 * i + 1] = is_object ? T(c.height) : 0;
    offset.data[2 * i] = is_object ? T(c.x - c.cell_x) : 0;
    offset.data[2 * i + 1] = is_object ? T(c.y - c.cell_y) : 0;
  }
};

template <class T>
struct HeatOfCell {
  View<T, 4> heat;
  View<const int32_t, 2> cell;
  const int32_t *count, *radius;

  BASIN_HD void operator()(int64_t row, int64_t x) const {  // row: n * h + y
    const int n = int(row / heat.dim[2]), y = int(row % heat.dim[2]), width = heat.dim[3];
    double greatest = 0;
    for (int k = 0; k < count[n] && k < cell.dim[1]; ++k) {
      const int at = cell(n, k), r = radius[int64_t(n) * cell.dim[1] + k];
      if (at < 0) continue;
      const int dx = int(x) - at % width, dy = y - at / width;
      if (dx < -r || dx > r || dy < -r || dy > r) continue;
      const double sigma = (2 * r + 1) / 6.0, value = exp(-(dx * dx + dy * dy) / (2 * sigma * sigma));
      greatest = value > greatest ? value : greatest;
    }
    heat(n, 0, y, x) = T(greatest);
  }
};

}  // namespace

int centre_radius(int height, int width) { return radius_of(height, width); }

template <class T>
void detection_targets(const Exec& exec, View<const float, 3> box, View<const int32_t, 1> count, View<T, 4> heat,
                       View<int32_t, 2> cell, View<T, 3> size, View<T, 3> offset) {
  const int images = box.dim[0], capacity = box.dim[1];
  BASIN_CHECK(box.dim[2] == 4 && count.dim[0] == images && heat.dim[0] == images && heat.dim[1] == 1 &&
                  cell.dim[0] == images && cell.dim[1] == capacity && size.dim[0] == images &&
                  size.dim[1] == capacity && size.dim[2] == 2 && offset.size() == size.size(),
              "boxes ", box, ", heat ", heat, ", cells ", cell, ", sizes ", size, ", offsets ", offset);
  const Temp<int32_t> radius(exec, cell.size());
  for_each(exec, cell.size(),
           TablesOfObject<T>{box, count.data, cell, heat.dim[2], heat.dim[3], size, offset, radius.data()});
  for_each_row(exec, int64_t(images) * heat.dim[2], heat.dim[3], HeatOfCell<T>{heat, cell, count.data, radius.data()});
}
template void detection_targets<float>(const Exec&, View<const float, 3>, View<const int32_t, 1>, View<float, 4>,
                                       View<int32_t, 2>, View<float, 3>, View<float, 3>);
template void detection_targets<double>(const Exec&, View<const float, 3>, View<const int32_t, 1>, View<double, 4>,
                                        View<int32_t, 2>, View<double, 3>, View<double, 3>);

}  // namespace basin::kernels

#include "kernels/field/omnipose_field.h"

#include <cmath>

#include "kernels/field/edt.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

struct Root {
  const int32_t* squared;
  double* distance;
  BASIN_HD void operator()(int64_t, int64_t i) const { distance[i] = sqrt(double(squared[i])); }
};

struct OmniposeField {
  View<const int32_t, 2> labels;
  View<const double, 2> distance;
  View<float, 3> field;

  /// The step to the neighbour at `step` elements: 1 if it is `inside` the image and of the same object, otherwise 0.
  BASIN_HD static int64_t reach(const int32_t* label, bool inside, int64_t step) {
    return inside && label[step] == *label ? step : 0;
  }
  BASIN_HD static double difference(const double* d, int64_t before, int64_t after) {
    const double all = d[after] - d[before];
    return before != 0 && after != 0 ? all / 2 : all;
  }
  BASIN_HD void operator()(int64_t y, int64_t x) const {
    const int64_t width = labels.dim[1], at = y * width + x;
    const int32_t* label = labels.data + at;
    const double* d = distance.data + at;
    double d_x = 0, d_y = 0;
    if (*label != 0) {
      d_x = difference(d, reach(label, x > 0, -1), reach(label, x + 1 < width, 1));
      d_y = difference(d, reach(label, y > 0, -width), reach(label, y + 1 < labels.dim[0], width));
    }
    const double norm = sqrt(d_x * d_x + d_y * d_y), scale = norm < 1e-12 ? 0 : 1 / norm;
    field.data[at] = float(d_x * scale);
    field.data[labels.size() + at] = float(d_y * scale);
  }
};

}  // namespace

void omnipose_field(const Exec& exec, View<const int32_t, 2> labels, View<float, 3> field) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(field.dim[0] == 2 && field.dim[1] == height && field.dim[2] == width, "labels ", labels, ", field ",
              field);
  Temp<int32_t> squared(exec, labels.size());
  Temp<double> distance(exec, labels.size());
  edt_squared(exec, labels, {squared.data(), {height, width}});
  for_each_flat(exec, labels.size(), Root{squared.data(), distance.data()});
  for_each_row(exec, height, width, OmniposeField{labels, {distance.data(), {height, width}}, field});
}

}  // namespace basin::kernels

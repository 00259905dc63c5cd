#include "kernels/affinity_field.h"

#include "kernels/parallel.h"

namespace basin::kernels {
namespace {

struct AffinityField {
  View<const int32_t, 2> labels;
  int kernel;
  View<float, 3> field;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    const int y = int(row), x = int(column), radius = kernel / 2;
    const int32_t id = labels(y, x);
    const int top = y > radius ? y - radius : 0, bottom = y + radius < labels.dim[0] ? y + radius : labels.dim[0] - 1;
    const int left = x > radius ? x - radius : 0, right = x + radius < labels.dim[1] ? x + radius : labels.dim[1] - 1;
    int f_x = 0, f_y = 0;
    for (int v = top; v <= bottom && id != 0; ++v)
      for (int u = left; u <= right; ++u)
        if (labels(v, u) == id) {
          f_x += (u > x) - (u < x);
          f_y += (v > y) - (v < y);
        }
    field(0, y, x) = float(f_x) / float(2 * kernel);
    field(1, y, x) = float(f_y) / float(2 * kernel);
  }
};

}  // namespace

void affinity_field(const Exec& exec, View<const int32_t, 2> labels, int kernel, View<float, 3> field) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(kernel >= 3 && kernel % 2 == 1 && kernel <= 63, "kernel = ", kernel);
  BASIN_CHECK(field.dim[0] == 2 && field.dim[1] == height && field.dim[2] == width, "labels ", labels, ", field ",
              field);
  for_each_row(exec, height, width, AffinityField{labels, kernel, field});
}

}  // namespace basin::kernels

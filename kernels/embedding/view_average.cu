#include "kernels/embedding/view_average.h"

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

struct Apply {
  SquareSymmetry symmetry;
  View<const float, 3> image;
  View<float, 3> to;

  BASIN_HD void operator()(int64_t row, int64_t i) const {  // row: c * H + y
    const int c = int(row / image.dim[1]);
    int y = int(row % image.dim[1]), x = int(i);
    const float value = image(c, y, x);
    symmetry.move(image.dim[1], image.dim[2], y, x);
    to(c, y, x) = value;
  }
};

struct AddUndone {
  SquareSymmetry symmetry;
  View<const float, 3> map;
  float weight;
  bool first;
  View<float, 3> sum;

  BASIN_HD void operator()(int64_t row, int64_t column) const {
    int y = int(row), x = int(column);
    symmetry.move(sum.dim[1], sum.dim[2], y, x);
    float value[5];
    for (int c = 0; c < 5; ++c)
      value[c] = map(c, y, x);
    symmetry.undo_vector(value[0], value[1]);
    if (symmetry.swaps_sides()) {
      const float sigma_x = value[2];
      value[2] = value[3], value[3] = sigma_x;
    }
    for (int c = 0; c < 5; ++c) {
      float& to = sum(c, row, column);
      to = (first ? 0 : to) + weight * value[c];
    }
  }
};

void check_sides(SquareSymmetry symmetry, const int* sides, const int* after) {
  const bool swaps = symmetry.swaps_sides();
  BASIN_CHECK(symmetry.index >= 0 && symmetry.index < square_symmetries, "symmetry ", symmetry.index);
  BASIN_CHECK(after[0] == sides[0] && after[1] == sides[swaps ? 2 : 1] && after[2] == sides[swaps ? 1 : 2], "images ",
              sides[0], "x", sides[1], "x", sides[2], " and ", after[0], "x", after[1], "x", after[2]);
}

}  // namespace

void apply_symmetry(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> image, View<float, 3> to) {
  check_sides(symmetry, image.dim, to.dim);
  for_each_row(exec, int64_t(image.dim[0]) * image.dim[1], image.dim[2], Apply{symmetry, image, to});
}

void add_undone(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> map, float weight, bool first,
                View<float, 3> sum) {
  BASIN_CHECK(sum.dim[0] == 5, "maps ", sum);
  check_sides(symmetry, sum.dim, map.dim);
  for_each_row(exec, sum.dim[1], sum.dim[2], AddUndone{symmetry, map, weight, first, sum});
}

}  // namespace basin::kernels

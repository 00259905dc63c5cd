#include "kernels/image/view_average.h"

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

struct AddScalars {
  SquareSymmetry symmetry;
  View<const float, 3> map;
  float weight;
  bool first;
  View<float, 3> sum;

  BASIN_HD void operator()(int64_t row, int64_t column) const {  // row: c * H + y
    const int c = int(row / sum.dim[1]), from_y = int(row % sum.dim[1]), from_x = int(column);
    int y = from_y, x = from_x;
    symmetry.move(sum.dim[1], sum.dim[2], y, x);
    float& to = sum(c, from_y, from_x);
    to = (first ? 0 : to) + weight * map(c, y, x);
  }
};

struct AddPairs {
  SquareSymmetry symmetry;
  bool vectors;  // otherwise lengths
  View<const float, 3> map;
  float weight;
  bool first;
  View<float, 3> sum;

  BASIN_HD void operator()(int64_t row, int64_t column) const {  // row: pair * H + y
    const int c = 2 * int(row / sum.dim[1]), from_y = int(row % sum.dim[1]), from_x = int(column);
    int y = from_y, x = from_x;
    symmetry.move(sum.dim[1], sum.dim[2], y, x);
    const bool swapped = !vectors && symmetry.swaps_sides();
    float along_x = map(swapped ? c + 1 : c, y, x), along_y = map(swapped ? c : c + 1, y, x);
    if (vectors) symmetry.undo_vector(along_x, along_y);
    float& to_x = sum(c, from_y, from_x);
    float& to_y = sum(c + 1, from_y, from_x);
    to_x = (first ? 0 : to_x) + weight * along_x;
    to_y = (first ? 0 : to_y) + weight * along_y;
  }
};

void check_sides(SquareSymmetry symmetry, const int* sides, const int* after) {
  const bool swaps = symmetry.swaps_sides();
  BASIN_CHECK(symmetry.index >= 0 && symmetry.index < square_symmetries, "symmetry ", symmetry.index);
  BASIN_CHECK(after[0] == sides[0] && after[1] == sides[swaps ? 2 : 1] && after[2] == sides[swaps ? 1 : 2], "images ",
              sides[0], "x", sides[1], "x", sides[2], " and ", after[0], "x", after[1], "x", after[2]);
}

void add_pairs(const Exec& exec, SquareSymmetry symmetry, bool vectors, View<const float, 3> map, float weight,
               bool first, View<float, 3> sum) {
  BASIN_CHECK(sum.dim[0] % 2 == 0, "maps ", sum);
  check_sides(symmetry, sum.dim, map.dim);
  for_each_row(exec, int64_t(sum.dim[0] / 2) * sum.dim[1], sum.dim[2],
               AddPairs{symmetry, vectors, map, weight, first, sum});
}

}  // namespace

void apply_symmetry(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> image, View<float, 3> to) {
  check_sides(symmetry, image.dim, to.dim);
  for_each_row(exec, int64_t(image.dim[0]) * image.dim[1], image.dim[2], Apply{symmetry, image, to});
}

void add_undone_scalars(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum) {
  check_sides(symmetry, sum.dim, map.dim);
  for_each_row(exec, int64_t(sum.dim[0]) * sum.dim[1], sum.dim[2], AddScalars{symmetry, map, weight, first, sum});
}

void add_undone_vectors(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum) {
  add_pairs(exec, symmetry, true, map, weight, first, sum);
}

void add_undone_extents(const Exec& exec, SquareSymmetry symmetry, View<const float, 3> map, float weight, bool first,
                        View<float, 3> sum) {
  add_pairs(exec, symmetry, false, map, weight, first, sum);
}

}  // namespace basin::kernels

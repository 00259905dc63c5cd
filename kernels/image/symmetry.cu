#include "kernels/image/symmetry.h"

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

template <class T>
struct MovePixels {
  SquareMap map;
  View<const T, 3> from;
  T* to;

  BASIN_HD void operator()(int64_t row, int64_t x) const {
    const int64_t size = from.dim[1], square = row / size * size * size;
    to[row * size + x] = from.data[square + map.first + row % size * map.down + x * map.right];
  }
};

struct MaskOfMiddle {
  View<const int32_t, 2> labels;
  int margin;
  View<float, 2> mask;

  BASIN_HD void operator()(int64_t y, int64_t x) const { mask(y, x) = labels(y + margin, x + margin) != 0 ? 1.f : 0.f; }
};

}  // namespace

template <class T>
void move_pixels(const Exec& exec, const SquareMap& map, View<const T, 3> from, View<T, 3> to) {
  for (int d = 0; d < 3; ++d)
    BASIN_CHECK(from.dim[d] == to.dim[d] && from.dim[1] == from.dim[2], "from ", from, ", to ", to);
  for_each_row(exec, int64_t(from.dim[0]) * from.dim[1], from.dim[2], MovePixels<T>{map, from, to.data});
}
template void move_pixels<float>(const Exec&, const SquareMap&, View<const float, 3>, View<float, 3>);
template void move_pixels<int32_t>(const Exec&, const SquareMap&, View<const int32_t, 3>, View<int32_t, 3>);

void mask_of_middle(const Exec& exec, View<const int32_t, 2> labels, View<float, 2> mask) {
  const int margin = (labels.dim[0] - mask.dim[0]) / 2;
  BASIN_CHECK(margin >= 0 && labels.dim[0] == mask.dim[0] + 2 * margin && labels.dim[1] == mask.dim[1] + 2 * margin,
              "labels ", labels, ", mask ", mask);
  for_each_row(exec, mask.dim[0], mask.dim[1], MaskOfMiddle{labels, margin, mask});
}

}  // namespace basin::kernels

#include "kernels/conv/conv_last_layer.h"

#include <algorithm>

#include "kernels/conv/lanes.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr int max_channels = 8, patch = 2 * 2;

/// Processes one row of d_out: a product of matrices with columns [channel of d_x][v][u] gives the 2x2 pixels of d_x of
/// each pixel, which are then written row by row.
template <int Block>
struct RowOfPatches {
  static constexpr int at_once = 8;  // pixels
  FeatureView<const float> d_out;
  FeatureView<float> d_x;
  int columns;          // rounded up to a multiple of Block
  const float* weight;  // [lane of d_out][column]

  void operator()(int64_t row) const {
    const int n = int(row / d_out.h), y = int(row % d_out.h);
    float products[at_once * patch * max_channels];
    int count = at_once;
    for (int x = 0; x < d_out.w; x += count) {
      count = x + at_once <= d_out.w ? at_once : 1;
      if (count == at_once)
        multiply_pixels<at_once>(n, y, x, products);
      else
        multiply_pixels<1>(n, y, x, products);
      for (int c = 0; c < d_x.c; ++c)
        for (int v = 0; v < 2; ++v) {
          float* const to = &d_x(n, c, 2 * y + v, 2 * x);
          for (int p = 0; p < count; ++p)
            for (int u = 0; u < 2; ++u)
              to[2 * p + u] = products[p * columns + patch * c + 2 * v + u];
        }
    }
  }

  template <int Pixels>
  void multiply_pixels(int n, int y, int x, float* products) const {
    for (int group = 0; group < d_out.groups(); ++group)
      for (int column = 0; column < columns; column += Block)
        multiply<Block, Pixels, 1>(pixel(d_out, n, group, y, x), Block, 1,
                                   weight + int64_t(group) * Block * columns + column, columns, Block, Block, group > 0,
                                   products + column, columns, Block);
  }
};

template <int Block>
void run(const Exec& exec, const ConvWeight<const float>& weight, FeatureView<const float> d_out,
         FeatureView<float> d_x) {
  const int columns = (patch * d_x.c + Block - 1) / Block * Block;
  const Temp<float> ordered(exec, int64_t(d_out.groups()) * Block * columns);
  std::fill_n(ordered.data(), ordered.size(), 0.f);
  for (int o = 0; o < d_out.c; ++o)
    for (int c = 0; c < d_x.c; ++c)
      for (int tap = 0; tap < patch; ++tap)
        ordered.data()[o * columns + patch * c + tap] = weight.whole(o, weight.first + c, tap / 2, tap % 2);
  for_each_task(int64_t(d_out.n) * d_out.h, RowOfPatches<Block>{d_out, d_x, columns, ordered.data()});
}

}  // namespace

bool conv_last_layer_backward_data(const Exec& exec, ConvWeight<const float> weight, FeatureView<const float> d_out,
                                   FeatureView<float> d_x) {
  if (exec.device != Device::cpu || exec.variant == Variant::plain || d_x.block != 1 || d_x.c > max_channels)
    return false;
  if (weight.geometry != ConvGeometry::square(2, 2, 0) || d_x.h != 2 * d_out.h || d_x.w != 2 * d_out.w) return false;
  check_convolution(d_x, weight, d_out);
  if (d_out.block != 8 && d_out.block != 16) return false;
  d_out.block == 8 ? run<8>(exec, weight, d_out, d_x) : run<16>(exec, weight, d_out, d_x);
  return true;
}

}  // namespace basin::kernels

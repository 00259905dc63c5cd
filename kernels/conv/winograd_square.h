#pragma once
#include "kernels/conv/conv_geometry.h"
#include "kernels/conv/winograd_tiles.h"

namespace basin::kernels {
namespace {

/// Transforms the rows of a square [In][In], then its columns. read(i, row) reads row i of the square; write(j, column)
/// stores column j of the result.
template <class V, int In, int Out, class Read, class Write>
void transform_square(void (&transform)(const V (&)[In], V (&)[Out]), const Read& read, const Write& write) {
  V half[In][Out];
#pragma GCC unroll 6
  for (int i = 0; i < In; ++i) {
    V row[In];
    read(i, row);
    transform(row, half[i]);
  }
#pragma GCC unroll 6
  for (int j = 0; j < Out; ++j) {
    V column[In], result[Out];
#pragma GCC unroll 6
    for (int i = 0; i < In; ++i)
      column[i] = half[i][j];
    transform(column, result);
    write(j, result);
  }
}

/// F(4x4, 3x3): tiles of 4x4 outputs of maps, numbered row by row, for square kernels of odd sizes and the padding that
/// keeps the size of the image. A kernel is cut into parts of 3x3 taps; taps of a part beyond the kernel are 0.
class SquareTiles {
 public:
  static constexpr int frequencies = reach * reach;

  static bool supports(const ConvGeometry& g) {
    return g == ConvGeometry::same(g.kernel_h, g.kernel_h) && g.kernel_h % 2 == 1 && g.kernel_h >= taps;
  }
  SquareTiles(const FeatureView<const float>& out, const ConvGeometry& geometry)
      : n_(out.n), rows_((out.h + side - 1) / side), columns_((out.w + side - 1) / side), size_(geometry.kernel_h) {}
  int64_t count() const { return int64_t(n_) * rows_ * columns_; }
  int parts() const { return per_side() * per_side(); }

  /// The first output of a tile.
  struct Place {
    int image, y, x;
  };
  Place place(int64_t tile) const {
    const int column = int(tile % columns_), row = int(tile / columns_ % rows_);
    return {int(tile / columns_ / rows_), row * side, column * side};
  }

  /// The transform of the 6x6 inputs of a tile for one part. Like in all transforms, frequency f is at to + f * stride.
  template <int Block>
  void transform_inputs(const FeatureView<const float>& maps, int part, const Place& p, int group, float* to,
                        int64_t stride) const {
    transform_pixels<Block>(transform_input<Lanes<Block>>, maps, p.image, group, p.y + tap_y(part) - size_ / 2,
                            p.x + tap_x(part) - size_ / 2, to, stride);
  }
  /// The same for a 3x3 kernel and inputs that are `low` with each pixel repeated 2x2. 0 where
  /// vanishes_if_repeated().
  template <int Block>
  void transform_repeated_inputs(const FeatureView<const float>& low, const Place& p, int group, float* to,
                                 int64_t stride) const {
    transform_pixels<Block>(transform_repeated_input<Lanes<Block>>, low, p.image, group, p.y / 2 - 1, p.x / 2 - 1, to,
                            stride);
  }
  /// Whether the transform of repeated pixels is 0 at a frequency, see transform_repeated_input().
  static constexpr bool vanishes_if_repeated(int frequency) { return frequency / reach == 2 || frequency % reach == 2; }
  /// The transform of the 4x4 gradients of the outputs of a tile.
  template <int Block>
  void transform_gradients(const FeatureView<const float>& maps, const Place& p, int group, float* to,
                           int64_t stride) const {
    transform_pixels<Block>(transform_output_gradient<Lanes<Block>>, maps, p.image, group, p.y, p.x, to, stride);
  }
  /// Calls write(pixel, value) with the outputs of a tile that lie in the image.
  template <int Block, class Write>
  void outputs(const float* products, int64_t stride, const FeatureView<float>& maps, const Place& p, int group,
               const Write& write) const {
    const int height = std::min(side, maps.h - p.y), width = std::min(side, maps.w - p.x);
    float* const at = pixel(maps, p.image, group, p.y, p.x);
    transform_square<Lanes<Block>>(
        transform_output<Lanes<Block>>,
        [&](int i, Lanes<Block>(&row)[reach]) {
#pragma GCC unroll 6
          for (int j = 0; j < reach; ++j)
            row[j] = load_lanes<Block>(products + (i * reach + j) * stride);
        },
        [&](int j, const Lanes<Block>(&column)[side]) {
          if (j >= width) return;
#pragma GCC unroll 4
          for (int i = 0; i < side; ++i)
            if (i < height) write(at + (int64_t(i) * maps.w + j) * Block, column[i]);
        });
  }
  /// The transform of one part of a kernel, whose taps tap(v, u) gives.
  template <int Block, class Tap>
  void transform_kernel(int part, const Tap& tap, float* to, int64_t stride) const {
    transform_square<Lanes<Block>>(
        transform_filter<Lanes<Block>>,
        [&](int i, Lanes<Block>(&row)[taps]) {
          for (int j = 0; j < taps; ++j) {
            const int v = tap_y(part) + i, u = tap_x(part) + j;
            row[j] = v < size_ && u < size_ ? tap(v, u) : Lanes<Block>{};
          }
        },
        [&](int j, const Lanes<Block>(&column)[reach]) {
          for (int i = 0; i < reach; ++i)
            store_lanes<Block>(to + (i * reach + j) * stride, column[i]);
        });
  }
  /// Calls add(v, u, gradient) for the taps of one part, from the sums of the products of all tiles.
  template <int Block, class Add>
  void kernel_gradient(int part, const Lanes<Block> (&sums)[frequencies], const Add& add) const {
    transform_square<Lanes<Block>>(
        transform_filter_gradient<Lanes<Block>>,
        [&](int i, Lanes<Block>(&row)[reach]) { std::copy_n(sums + i * reach, reach, row); },
        [&](int j, const Lanes<Block>(&column)[taps]) {
          for (int i = 0; i < taps; ++i)
            if (tap_y(part) + i < size_ && tap_x(part) + j < size_) add(tap_y(part) + i, tap_x(part) + j, column[i]);
        });
  }

 private:
  int per_side() const { return (size_ + taps - 1) / taps; }
  int tap_y(int part) const { return part / per_side() * taps; }  // the first of the part
  int tap_x(int part) const { return part % per_side() * taps; }

  /// Transforms a square of Size x Size pixels, with zeros outside the image.
  template <int Block, int Size>
  static void transform_pixels(void (&transform)(const Lanes<Block> (&)[Size], Lanes<Block> (&)[reach]),
                               const FeatureView<const float>& maps, int image, int group, int y, int x, float* to,
                               int64_t stride) {
    const float* const at = pixel(maps, image, group, y, x);
    const int64_t row_size = int64_t(maps.w) * Block;
    const auto write = [&](int j, const Lanes<Block>(&column)[reach]) {
#pragma GCC unroll 6
      for (int i = 0; i < reach; ++i)
        store_lanes<Block>(to + (i * reach + j) * stride, column[i]);
    };
    if (y >= 0 && x >= 0 && y + Size <= maps.h && x + Size <= maps.w) {
      const auto read = [&](int i, Lanes<Block>(&row)[Size]) {
#pragma GCC unroll 6
        for (int j = 0; j < Size; ++j)
          row[j] = load_lanes<Block>(at + i * row_size + j * Block);
      };
      return transform_square<Lanes<Block>>(transform, read, write);
    }
    const auto read_checked = [&](int i, Lanes<Block>(&row)[Size]) {
      for (int j = 0; j < Size; ++j) {
        const bool inside = y + i >= 0 && y + i < maps.h && x + j >= 0 && x + j < maps.w;
        row[j] = inside ? load_lanes<Block>(at + i * row_size + j * Block) : Lanes<Block>{};
      }
    };
    transform_square<Lanes<Block>>(transform, read_checked, write);
  }

  int n_, rows_, columns_, size_;
};

}  // namespace
}  // namespace basin::kernels

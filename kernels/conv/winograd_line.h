#pragma once
#include "kernels/conv/conv_geometry.h"
#include "kernels/conv/winograd_tiles.h"

namespace basin::kernels {
namespace {

/// F(4, 3): tiles of 4 outputs along one axis, for kernels of 3x1 and 1x3 taps with any dilation d and the padding that
/// keeps the size of the image. Like the taps, the outputs of a tile are d pixels apart, because only pixels at
/// multiples of d from each other interact. The functions are those of SquareTiles.
class LineTiles {
 public:
  static constexpr int frequencies = reach;

  static bool supports(const ConvGeometry& g) {
    return g == ConvGeometry::same(taps, 1, g.dilation) || g == ConvGeometry::same(1, taps, g.dilation);
  }
  LineTiles(const FeatureView<const float>& out, const ConvGeometry& geometry)
      : n_(out.n), h_(out.h), w_(out.w), dilation_(geometry.dilation), vertical_(geometry.kernel_w == 1) {
    const int length = vertical_ ? h_ : w_, of_each = (length + dilation_ - 1) / dilation_;
    along_ = dilation_ * ((of_each + side - 1) / side);
  }
  int64_t count() const { return int64_t(n_) * along_ * across(); }
  int parts() const { return 1; }

  /// The first output of a tile: its image and pixel, and the coordinate of this along the kernel.
  struct Place {
    int image, y, x, position;
  };
  /// Tiles are numbered in the order of the pixels at which they start.
  Place place(int64_t tile) const {
    const int image = int(tile / (int64_t(along_) * across())), in_image = int(tile % (int64_t(along_) * across()));
    const int k = vertical_ ? in_image / w_ : in_image % along_;
    const int position = k % dilation_ + k / dilation_ * side * dilation_;
    if (vertical_) return {image, position, in_image % w_, position};
    return {image, in_image / along_, position, position};
  }

  template <int Block>
  void transform_inputs(const FeatureView<const float>& maps, int, const Place& p, int group, float* to,
                        int64_t stride) const {
    Lanes<Block> in[reach], result[reach];
    read<Block>(maps, p, group, -1, in);
    transform_input(in, result);
    store<Block>(result, to, stride);
  }
  template <int Block>
  void transform_gradients(const FeatureView<const float>& maps, const Place& p, int group, float* to,
                           int64_t stride) const {
    Lanes<Block> in[side], result[reach];
    read<Block>(maps, p, group, 0, in);
    transform_output_gradient(in, result);
    store<Block>(result, to, stride);
  }
  template <int Block, class Write>
  void outputs(const float* products, int64_t stride, const FeatureView<float>& maps, const Place& p, int group,
               const Write& write) const {
    Lanes<Block> in[reach], result[side];
#pragma GCC unroll 6
    for (int f = 0; f < reach; ++f)
      in[f] = load_lanes<Block>(products + f * stride);
    transform_output(in, result);
    float* const at = pixel(maps, p.image, group, p.y, p.x);
#pragma GCC unroll 4
    for (int k = 0; k < side; ++k)
      if (p.position + k * dilation_ < length()) write(at + k * step() * Block, result[k]);
  }
  template <int Block, class Tap>
  void transform_kernel(int, const Tap& tap, float* to, int64_t stride) const {
    Lanes<Block> in[taps], result[reach];
    for (int k = 0; k < taps; ++k)
      in[k] = vertical_ ? tap(k, 0) : tap(0, k);
    transform_filter(in, result);
    store<Block>(result, to, stride);
  }
  template <int Block, class Add>
  void kernel_gradient(int, const Lanes<Block> (&sums)[frequencies], const Add& add) const {
    Lanes<Block> result[taps];
    transform_filter_gradient(sums, result);
    for (int k = 0; k < taps; ++k)
      vertical_ ? add(k, 0, result[k]) : add(0, k, result[k]);
  }

 private:
  int length() const { return vertical_ ? h_ : w_; }
  int across() const { return vertical_ ? w_ : h_; }
  int64_t step() const { return int64_t(dilation_) * (vertical_ ? w_ : 1); }  // pixels between two outputs of a tile

  /// The values at `first`, first + 1, ... steps from the start of a tile, 0 outside the image.
  template <int Block, int Size>
  void read(const FeatureView<const float>& maps, const Place& p, int group, int first,
            Lanes<Block> (&to)[Size]) const {
    const float* const at = pixel(maps, p.image, group, p.y, p.x) + first * step() * Block;
    const int begin = p.position + first * dilation_;
    if (begin >= 0 && begin + (Size - 1) * dilation_ < length()) {
#pragma GCC unroll 6
      for (int k = 0; k < Size; ++k)
        to[k] = load_lanes<Block>(at + k * step() * Block);
      return;
    }
    for (int k = 0; k < Size; ++k) {
      const bool inside = begin + k * dilation_ >= 0 && begin + k * dilation_ < length();
      to[k] = inside ? load_lanes<Block>(at + k * step() * Block) : Lanes<Block>{};
    }
  }
  template <int Block>
  static void store(const Lanes<Block> (&values)[reach], float* to, int64_t stride) {
#pragma GCC unroll 6
    for (int f = 0; f < reach; ++f)
      store_lanes<Block>(to + f * stride, values[f]);
  }

  int n_, h_, w_, dilation_;
  bool vertical_;
  int along_;  // tiles along the axis
};

}  // namespace
}  // namespace basin::kernels

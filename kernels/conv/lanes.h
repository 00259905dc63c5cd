#pragma once
#include <cstdint>

#include "kernels/runtime/view.h"

// Blocked feature maps as vectors: those of a pixel's channels, and the product of matrices of them. In an anonymous
// namespace, because the files that include it are compiled with different rules for fused multiply-adds.

namespace basin::kernels {
namespace {

/// The channels of one group of a blocked layout.
template <int Block>
using Lanes [[gnu::vector_size(Block * sizeof(float))]] = float;
/// The channels at an address, which need not be aligned to more than a number.
template <int Block>
Lanes<Block> load_lanes(const float* at) {
  Lanes<Block> v;
  __builtin_memcpy(&v, at, sizeof v);
  return v;
}
template <int Block>
void store_lanes(float* at, const Lanes<Block>& v) {
  __builtin_memcpy(at, &v, sizeof v);
}

/// The pixel at (y, x) of a group of channels, which may lie outside the image.
template <class T>
T* pixel(const FeatureView<T>& maps, int image, int group, int y, int x) {
  return maps.data + (((int64_t(image) * maps.groups() + group) * maps.h + y) * maps.w + x) * maps.block;
}

/// c[r][j] (+)= sum over p of a[r a_row + p a_step] b[p b_step + j b_column], for lanes j: a product of matrices whose
/// sums stay in registers.
template <int Block, int Rows, int Columns>
void multiply(const float* a, int64_t a_row, int64_t a_step, const float* b, int64_t b_step, int64_t b_column,
              int depth, bool add, float* c, int64_t c_row, int64_t c_column) {
  Lanes<Block> sum[Rows][Columns];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j)
      sum[r][j] = add ? load_lanes<Block>(c + r * c_row + j * c_column) : Lanes<Block>{};
  for (int p = 0; p < depth; ++p) {
    Lanes<Block> right[Columns];
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j)
      right[j] = load_lanes<Block>(b + p * b_step + j * b_column);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const float left = a[r * a_row + p * a_step];
#pragma GCC unroll 2
      for (int j = 0; j < Columns; ++j)
        sum[r][j] += left * right[j];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int j = 0; j < Columns; ++j)
      store_lanes<Block>(c + r * c_row + j * c_column, sum[r][j]);
}

}  // namespace
}  // namespace basin::kernels

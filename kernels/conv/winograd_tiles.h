#pragma once
#include <algorithm>

#include "kernels/conv/lanes.h"

// The parts that the passes of kernels/conv/winograd.h share, whatever the shape of a tile: the transforms along one
// axis, and the tiles that are computed together.

namespace basin::kernels {
namespace {

constexpr int taps = 3;                           // of a kernel, along an axis
constexpr int side = 4, reach = side + taps - 1;  // outputs and inputs of a tile, along an axis

// The one-dimensional transforms. V is a number or a vector of lanes.

/// B^T d
template <class V>
void transform_input(const V (&d)[6], V (&o)[6]) {
  const V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], e = d[4] - d[2], f = 2 * (d[3] - d[1]);
  o[0] = 4 * d[0] - 5 * d[2] + d[4];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = e + f;
  o[4] = e - f;
  o[5] = 4 * d[1] - 5 * d[3] + d[5];
}
/// B^T d for d = (p[0], p[1], p[1], p[2], p[2], p[3]): inputs that lie in four pixels, each repeated. o[2] is always 0.
template <class V>
void transform_repeated_input(const V (&p)[4], V (&o)[6]) {
  const V step = p[2] - p[1];
  o[0] = 4 * p[0] - 5 * p[1] + p[2];
  o[1] = 2 * (p[2] - 4 * p[1]);
  o[2] = V{};
  o[3] = 3 * step;
  o[4] = -step;
  o[5] = 4 * p[1] - 5 * p[2] + p[3];
}
/// A^T m
template <class V>
void transform_output(const V (&m)[6], V (&y)[4]) {
  const V s = m[1] + m[2], d = m[1] - m[2], t = m[3] + m[4], e = m[3] - m[4];
  y[0] = m[0] + s + t;
  y[1] = d + 2 * e;
  y[2] = s + 4 * t;
  y[3] = d + 8 * e + m[5];
}
/// A y
template <class V>
void transform_output_gradient(const V (&y)[4], V (&m)[6]) {
  const V even = y[0] + y[2], odd = y[1] + y[3], even4 = y[0] + 4 * y[2], odd8 = 2 * y[1] + 8 * y[3];
  m[0] = y[0];
  m[1] = even + odd;
  m[2] = even - odd;
  m[3] = even4 + odd8;
  m[4] = even4 - odd8;
  m[5] = y[3];
}
/// G g
template <class V>
void transform_filter(const V (&g)[3], V (&u)[6]) {
  const V even = (g[0] + g[2]) / 6, odd = g[1] / 6, even4 = g[0] / 24 + g[2] / 6, odd2 = g[1] / 12;
  u[0] = g[0] / 4;
  u[1] = -even - odd;
  u[2] = odd - even;
  u[3] = even4 + odd2;
  u[4] = even4 - odd2;
  u[5] = g[2];
}
/// G^T u
template <class V>
void transform_filter_gradient(const V (&u)[6], V (&g)[3]) {
  g[0] = u[0] / 4 - (u[1] + u[2]) / 6 + (u[3] + u[4]) / 24;
  g[1] = (u[2] - u[1]) / 6 + (u[3] - u[4]) / 12;
  g[2] = (u[3] + u[4]) / 6 - (u[1] + u[2]) / 6 + u[5];
}

/// The distance between the values of two frequencies, for `size` values of each: an odd number of cache lines, so that
/// the values of a tile are not all in the same set of a cache.
constexpr int64_t padded(int64_t size) { return ((size + 15) / 16 | 1) * 16; }

/// The largest number of tiles whose transforms, of this many frequencies and lanes, fit into half a second-level
/// cache.
int tiles_that_fit(int frequencies, int lanes) {
  return int((400 << 10) / (int64_t(frequencies) * lanes * int64_t(sizeof(float))));
}

/// to[f][tile][lane] of tiles [begin, end): transform(place, group, to its first frequency, stride).
template <int Block, class Tiles, class F>
void transform_tiles(const Tiles& tiles, const F& transform, int groups, int64_t begin, int64_t end, int64_t stride,
                     float* to) {
  for (int64_t t = begin; t < end; ++t) {
    const typename Tiles::Place place = tiles.place(t);
    for (int g = 0; g < groups; ++g)
      transform(place, g, to + ((t - begin) * groups + g) * Block, stride);
  }
}

}  // namespace
}  // namespace basin::kernels

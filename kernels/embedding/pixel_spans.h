#pragma once
#include "kernels/runtime/parallel.h"

namespace basin::kernels {

/// Neighbouring pixels of one sample of [N, C, H, W] that a functor processes at once. On the CPU a span has many
/// pixels, and the loop over them is the inner one: planes are often a power of two apart, so that in a loop over
/// channels the values of one pixel would evict each other from the cache. On a GPU a thread processes one pixel.
struct PixelSpan {
  int64_t first, plane;  // offset of channel 0 of the first pixel, and distance between channels
  int count;

  static constexpr int on_cpu = 64;
  BASIN_HD static int64_t per_sample(int height, int width, int most) {
    return (int64_t(height) * width + most - 1) / most;
  }
  /// The i-th span of all samples, of at most `most` pixels.
  template <class T>
  BASIN_HD PixelSpan(View<T, 4> maps, int most, int64_t i) : plane(int64_t(maps.dim[2]) * maps.dim[3]) {
    const int64_t spans = per_sample(maps.dim[2], maps.dim[3], most), n = quotient(i, spans);
    const int64_t begin = (i - n * spans) * most;
    first = n * maps.dim[1] * plane + begin;
    count = int(plane - begin < most ? plane - begin : most);
  }
};

template <class T>
void check_same_maps(View<const T, 4> a, View<const T, 4> b) {
  for (int d = 0; d < 4; ++d)
    BASIN_CHECK(a.dim[d] == b.dim[d] && a.dim[d] > 0, "shapes ", a, " and ", b);
}

/// Calls f(i) for each span of all samples; F::most is the number of pixels per span.
template <class T, class F>
void for_each_span(const Exec& exec, View<T, 4> maps, const F& f) {
  for_each(exec, maps.dim[0] * PixelSpan::per_sample(maps.dim[2], maps.dim[3], F::most), f, 16);
}

}  // namespace basin::kernels

#pragma once
#include "kernels/flow/integrate.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Interpolates from a at t = 0 to b at t = 1.
template <class T>
BASIN_HD T mix(T a, T b, T t) {
  return a + t * (b - a);
}

/// A position on one axis, clamped to the pixels 0 to `last`: the pixels on either side, which are the same on the
/// lattice and outside, and the weight of the second. NaN is treated as pixel 0.
template <class T>
struct Tap {
  int i0, i1;
  T w;

  BASIN_HD Tap(T p, T last) {
    p = p > 0 ? p : T(0);
    p = p < last ? p : last;
    i0 = int(p);
    w = p - T(i0);
    i1 = i0 + int(w > 0);
  }
};

/// A vector in the image plane, in pixels.
template <class T>
struct alignas(2 * sizeof(T)) Vec2 {
  T x, y;
};

/// The vector at *from. `wide`: loaded as one element, which halves the gathers of a vectorised loop. This is faster
/// with AVX-512; with AVX2 separating the halves costs more.
template <bool wide, class T>
BASIN_HD Vec2<T> load(const Vec2<T>* from) {
  if constexpr (wide && sizeof(T) == 4) {
    uint64_t both;
    __builtin_memcpy(&both, from, sizeof both);
    const uint32_t low = uint32_t(both), high = uint32_t(both >> 32);
    Vec2<T> v;
    __builtin_memcpy(&v.x, &low, sizeof low);
    __builtin_memcpy(&v.y, &high, sizeof high);
    return v;
  } else {
    return {from->x, from->y};
  }
}

/// A vector field sampled by bilinear interpolation, with positions outside clamped to the border: I(V,p) =
/// (1-b)[(1-a)V(y0,x0) + aV(y0,x1)] + b[(1-a)V(y1,x0) + aV(y1,x1)]. The only place with this formula.
template <class T, bool wide = false>
struct BilinearField {
  const Vec2<T>* at;  // [H, W]
  int h, w;
  T last_x, last_y;  // stored, because a compiler that sees that they come from w and h branches instead of vectorising

  BASIN_HD BilinearField(const Vec2<T>* pairs, int height, int width)
      : at(pairs), h(height), w(width), last_x(T(width - 1)), last_y(T(height - 1)) {}
  /// A window of a larger field, `stride` pixels wide: positions are those in the whole field.
  BilinearField(const Vec2<T>* pairs, const FieldWindow& of, int stride)
      : at(pairs - (int64_t(of.y) * stride + of.x)),
        h(of.height),
        w(stride),
        last_x(T(of.width - 1)),
        last_y(T(of.height - 1)) {}
  /// The same field, loaded in another way.
  template <bool other>
  explicit BilinearField(const BilinearField<T, other>& f)
      : at(f.at), h(f.h), w(f.w), last_x(f.last_x), last_y(f.last_y) {}

  BASIN_HD Vec2<T> operator()(T px, T py) const {
    const Tap<T> x(px, last_x), y(py, last_y);
    const Vec2<T> v00 = load<wide>(at + (y.i0 * w + x.i0)), v01 = load<wide>(at + (y.i0 * w + x.i1));
    const Vec2<T> v10 = load<wide>(at + (y.i1 * w + x.i0)), v11 = load<wide>(at + (y.i1 * w + x.i1));
    return {mix(mix(v00.x, v01.x, x.w), mix(v10.x, v11.x, x.w), y.w),
            mix(mix(v00.y, v01.y, x.w), mix(v10.y, v11.y, x.w), y.w)};
  }

  /// A sample and everything that its backward pass needs: the first corner y0 * W + x0, the weights of the second
  /// corners, and the derivatives with respect to the position. These are 0 on the lattice and outside, where both taps
  /// are the same pixel.
  struct Linear {
    Vec2<T> value, d_dx, d_dy;
    int corner;
    T wx, wy;
  };
  BASIN_HD Linear linear(T px, T py) const {
    const Tap<T> x(px, last_x), y(py, last_y);
    const Vec2<T> v00 = load<wide>(at + (y.i0 * w + x.i0)), v01 = load<wide>(at + (y.i0 * w + x.i1));
    const Vec2<T> v10 = load<wide>(at + (y.i1 * w + x.i0)), v11 = load<wide>(at + (y.i1 * w + x.i1));
    const Vec2<T> above{mix(v00.x, v01.x, x.w), mix(v00.y, v01.y, x.w)};
    const Vec2<T> below{mix(v10.x, v11.x, x.w), mix(v10.y, v11.y, x.w)};
    return {{mix(above.x, below.x, y.w), mix(above.y, below.y, y.w)},
            {mix(v01.x - v00.x, v11.x - v10.x, y.w), mix(v01.y - v00.y, v11.y - v10.y, y.w)},
            {below.x - above.x, below.y - above.y},
            y.i0 * w + x.i0,
            x.w,
            y.w};
  }
};

/// Interleaves the two components of each pixel: planes [N, 2, H, W] to pairs [N, H, W].
template <class T>
struct Interleave {
  View<const T, 4> planes;
  Vec2<T>* pairs;

  BASIN_HD void operator()(int64_t row, int64_t x) const {
    const int64_t h = planes.dim[2], w = planes.dim[3], n = row / h, y = row % h;
    const T* from = planes.data + (2 * n * h + y) * w + x;
    pairs[row * w + x] = {from[0], from[h * w]};
  }
};
template <class T>
void interleave(const Exec& exec, View<const T, 4> planes, Vec2<T>* pairs) {
  for_each_row(exec, int64_t(planes.dim[0]) * planes.dim[2], planes.dim[3], Interleave<T>{planes, pairs});
}

}  // namespace basin::kernels

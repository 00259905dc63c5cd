#pragma once
#include <cmath>
#include <cstring>

#include "kernels/flow/bilinear.h"
#include "kernels/flow/integrate.h"

// One step of each solver for one point. Field: (x, y) -> Vec2<T>, see kernels/flow/bilinear.h.
namespace basin::kernels {

/// The field at the nearest pixel, half rounded to even, positions outside clamped to the border.
template <class T, bool wide = false>
struct NearestField {
  const Vec2<T>* at;  // [H, W]
  int w;
  T last_x, last_y;

  explicit NearestField(const BilinearField<T>& f) : at(f.at), w(f.w), last_x(f.last_x), last_y(f.last_y) {}

  BASIN_HD Vec2<T> operator()(T px, T py) const {
    return load<wide>(at + (nearest(py, last_y) * w + nearest(px, last_x)));
  }

 private:
  static BASIN_HD int nearest(T p, T last) {
    // From this number on T has no fractions: adding it rounds half to even, without a special instruction.
    constexpr T integers = sizeof(T) == 4 ? T(0x1.8p23) : T(0x1.8p52);
    p = p > 0 ? p : T(0);
    p = p < last ? p : last;
    return int((p + integers) - integers);
  }
};

template <Solver solver, class Field, class T>
BASIN_HD void advance(const Field& field, T h, T& x, T& y) {
  const Vec2<T> k1 = field(x, y);
  if constexpr (solver == Solver::euler) {
    x += h * k1.x;
    y += h * k1.y;
  } else {
    const T half = h / 2;
    const Vec2<T> k2 = field(x + half * k1.x, y + half * k1.y);
    if constexpr (solver == Solver::midpoint) {
      x += h * k2.x;
      y += h * k2.y;
    } else {
      const Vec2<T> k3 = field(x + half * k2.x, y + half * k2.y);
      const Vec2<T> k4 = field(x + h * k3.x, y + h * k3.y);
      x += h / 6 * (k1.x + 2 * k2.x + 2 * k3.x + k4.x);
      y += h / 6 * (k1.y + 2 * k2.y + 2 * k3.y + k4.y);
    }
  }
}

/// Euler with the velocity (vx, vy) averaged with the previous one.
template <class Field, class T>
BASIN_HD void advance_averaged(const Field& field, T h, T& x, T& y, T& vx, T& vy) {
  const Vec2<T> k = field(x, y);
  vx = (k.x + vx) / 2;
  vy = (k.y + vy) / 2;
  x += h * vx;
  y += h * vy;
}

/// The length of step n with a fixed step size.
template <class T>
BASIN_HD T step_length(const IntegrateOptions& options, int n) {
  const double slower = options.suppression == Suppression::none ? 1 : 1 + n * options.step;
  return T(options.step / slower);
}

/// A trial step of Dormand and Prince's method from (x, y), where the field is k1.
template <class T>
struct DormandPrince {
  T x, y;              // of order 5
  Vec2<T> k7;          // the field there: k1 of the next step
  Vec2<T> difference;  // to the result of order 4

  template <class Field>
  BASIN_HD DormandPrince(const Field& field, T h, T x0, T y0, Vec2<T> k1) {
    const Vec2<T> k2 = field(x0 + h * (T(1. / 5) * k1.x), y0 + h * (T(1. / 5) * k1.y));
    const Vec2<T> k3 =
        field(x0 + h * (T(3. / 40) * k1.x + T(9. / 40) * k2.x), y0 + h * (T(3. / 40) * k1.y + T(9. / 40) * k2.y));
    const Vec2<T> k4 = field(x0 + h * (T(44. / 45) * k1.x - T(56. / 15) * k2.x + T(32. / 9) * k3.x),
                             y0 + h * (T(44. / 45) * k1.y - T(56. / 15) * k2.y + T(32. / 9) * k3.y));
    const Vec2<T> k5 = field(x0 + h * fifth(k1.x, k2.x, k3.x, k4.x), y0 + h * fifth(k1.y, k2.y, k3.y, k4.y));
    const Vec2<T> k6 =
        field(x0 + h * sixth(k1.x, k2.x, k3.x, k4.x, k5.x), y0 + h * sixth(k1.y, k2.y, k3.y, k4.y, k5.y));
    x = x0 + h * order5(k1.x, k3.x, k4.x, k5.x, k6.x);
    y = y0 + h * order5(k1.y, k3.y, k4.y, k5.y, k6.y);
    k7 = field(x, y);
    difference = {h * order5_minus_4(k1.x, k3.x, k4.x, k5.x, k6.x, k7.x),
                  h * order5_minus_4(k1.y, k3.y, k4.y, k5.y, k6.y, k7.y)};
  }

 private:
  static BASIN_HD T fifth(T k1, T k2, T k3, T k4) {
    return T(19372. / 6561) * k1 - T(25360. / 2187) * k2 + T(64448. / 6561) * k3 - T(212. / 729) * k4;
  }
  static BASIN_HD T sixth(T k1, T k2, T k3, T k4, T k5) {
    return T(9017. / 3168) * k1 - T(355. / 33) * k2 + T(46732. / 5247) * k3 + T(49. / 176) * k4 - T(5103. / 18656) * k5;
  }
  static BASIN_HD T order5(T k1, T k3, T k4, T k5, T k6) {
    return T(35. / 384) * k1 + T(500. / 1113) * k3 + T(125. / 192) * k4 - T(2187. / 6784) * k5 + T(11. / 84) * k6;
  }
  static BASIN_HD T order5_minus_4(T k1, T k3, T k4, T k5, T k6, T k7) {
    return T(35. / 384 - 5179. / 57600) * k1 + T(500. / 1113 - 7571. / 16695) * k3 + T(125. / 192 - 393. / 640) * k4 +
           T(92097. / 339200 - 2187. / 6784) * k5 + T(11. / 84 - 187. / 2100) * k6 - T(1. / 40) * k7;
  }
};

/// The fifth root of a number from 2^-20 to 2^20, to a few units in the last place: Newton's method, which needs no
/// power in double.
template <class T>
BASIN_HD T fifth_root(T a) {
  // A fifth of the exponent: within 4 % of the root.
  const float near = float(a);
  uint32_t bits;
  memcpy(&bits, &near, sizeof bits);
  bits = bits / 5 + 0x32C7C000u;
  float guess;
  memcpy(&guess, &bits, sizeof guess);
  T x = T(guess);
  for (int k = 0; k < (sizeof(T) == 4 ? 3 : 4); ++k) {  // each iteration squares the error and doubles it
    const T x2 = x * x;
    x += (a / (x2 * x2) - x) * T(0.2);
  }
  return x;
}

/// The state of a point's adaptive integration.
template <class T>
struct AdaptiveClock {
  static constexpr int max_trials = 200;
  T end, tolerance, t, h;
  int trials;
  bool done;

  AdaptiveClock() = default;
  BASIN_HD explicit AdaptiveClock(const IntegrateOptions& options)
      : end(T(options.step * options.steps)),
        tolerance(T(options.tolerance)),
        t(0),
        h(within(T(options.step), T(1e-3), T(1))),
        trials(0),
        done(!(end > 0)) {}

  /// The length of the next trial: the last one ends at the final time.
  BASIN_HD T trial() const { return h < end - t ? h : end - t; }

  /// Updates the state with the error of the trial; returns true if the step is accepted.
  BASIN_HD bool accept(Vec2<T> difference) {
    const T ex = difference.x < 0 ? -difference.x : difference.x, ey = difference.y < 0 ? -difference.y : difference.y;
    const T error = ex > ey || ex != ex ? ex : ey;
    const T tried = trial();
    const bool counts = error <= tolerance, last = !(h < end - t);
    t += counts ? tried : T(0);
    // 0.9 times the root is limited to 0.2 to 5 below, so that only this range of the quotient matters.
    const T factor = error > 0    ? T(0.9) * fifth_root(within(tolerance / error, T(1e-5), T(1e5)))
                     : error == 0 ? T(5)
                                  : T(0);
    h = within(tried * within(factor, T(0.2), T(5)), T(1e-3), T(1));
    done = (counts && last) || ++trials >= max_trials;
    return counts;
  }

 private:
  static BASIN_HD T within(T v, T lo, T hi) { return v < lo ? lo : v > hi ? hi : v; }
};

}  // namespace basin::kernels

#include "kernels/flow/ivp.h"

#include <algorithm>
#include <cmath>

#include "kernels/flow/bilinear.h"
#include "kernels/flow/ivp_rows.h"
#include "kernels/runtime/reduce.h"

namespace basin::kernels {
namespace {

template <class T>
struct Trajectories {
  BilinearField<T> predicted, truth;  // [N, H, W]; the functors offset them to their image
  T step;
  int steps;
  int64_t pixels;  // of the batch
  Vec2<T>* start;  // [steps, pixels]: where in the predicted field each step began
  Vec2<T>* apart;  // [steps, pixels]: predicted minus true point after each step

  BASIN_HD BilinearField<T> image_of(BilinearField<T> field, int64_t pixel) const {
    const int64_t size = int64_t(field.h) * field.w;
    field.at += pixel / size * size;
    return field;
  }
};

template <class T>
struct Forward {
  Trajectories<T> path;
  double* squares;  // [pixels]

  BASIN_HD void operator()(int64_t i) const {
    const BilinearField<T> predicted = path.image_of(path.predicted, i), truth = path.image_of(path.truth, i);
    const int64_t size = int64_t(truth.h) * truth.w;
    Vec2<T> p{T(i % size % truth.w), T(i % size / truth.w)}, q = p;
    double sum = 0;
    for (int m = 0; m < path.steps; ++m) {
      const Vec2<T> f = predicted(p.x, p.y), g = truth(q.x, q.y);
      path.start[m * path.pixels + i] = p;
      p = {p.x + path.step * f.x, p.y + path.step * f.y};
      q = {q.x + path.step * g.x, q.y + path.step * g.y};
      const Vec2<T> d{p.x - q.x, p.y - q.y};
      path.apart[m * path.pixels + i] = d;
      sum += double(d.x) * double(d.x) + double(d.y) * double(d.y);
    }
    squares[i] = sum;
  }
};

/// Adds to a gradient [N, 2, H, W]; on the GPU in any order.
template <class T>
struct AddGradient {
  T* d;
  BASIN_HD void operator()(int64_t at, T value) const { add(d[at], value); }
};

/// Adds in 64-bit fixed point, whose sum does not depend on the order. The unit is 1 / `per_unit`, divided into `one`
/// parts. A value that is NaN, infinite, or at least `max_units` makes the whole gradient NaN: a meaningful gradient is
/// far smaller.
///
/// No sum overflows. In each of its steps a trajectory adds to at most four elements of either component, which may be
/// the same one where the border clamps them, and it stays in its own image. So an element gets at most `addends` = 4 *
/// steps * pixels of an image values, each smaller in magnitude than max_units * one, and `one` is chosen such that
/// addends * max_units * one <= 2^62.
template <class T>
struct AddFixed {
  unsigned long long* d;
  int32_t* bad;
  T per_unit;
  double one;
  static constexpr double max_units = 0x1p13;

  /// A power of two, at most 2^40.
  static double parts_for(double addends) { return std::ldexp(1.0, std::min(40, 62 - 13 - (std::ilogb(addends) + 1))); }
  BASIN_HD void operator()(int64_t at, T value) const {
    const double v = double(value) * double(per_unit) * one, limit = max_units * one;
    if (v > -limit && v < limit)
      add(d[at], (unsigned long long)(long long)v);
    else
      *bad = 1;  // all threads write the same value
  }
};
template <class T>
struct FromFixed {
  const unsigned long long* from;
  const int32_t* bad;
  T per_unit;
  double one;
  T* to;
  BASIN_HD void operator()(int64_t i) const {
    to[i] = *bad ? T(NAN) : T(double((long long)from[i]) / (one * double(per_unit)));
  }
};

/// One pixel's trajectory backwards: a is the gradient with respect to the point after the step.
template <class T, class Add>
struct Backward {
  Trajectories<T> path;
  T scale;  // 2 / (number of squares in the mean)
  Add add_to;

  BASIN_HD void operator()(int64_t i) const {
    const BilinearField<T> field = path.image_of(path.predicted, i);
    const int64_t size = int64_t(field.h) * field.w, base = i / size * 2 * size;
    Vec2<T> a{0, 0};
    for (int m = path.steps - 1; m >= 0; --m) {
      const Vec2<T> d = path.apart[m * path.pixels + i], p = path.start[m * path.pixels + i];
      a = {a.x + scale * d.x, a.y + scale * d.y};
      const auto at = field.linear(p.x, p.y);
      const T gx = path.step * a.x, gy = path.step * a.y;
      const int right = at.wx > 0 ? 1 : 0, below = at.wy > 0 ? field.w : 0;
      const int corner[4] = {at.corner, at.corner + right, at.corner + below, at.corner + below + right};
      const T weight[4] = {(1 - at.wy) * (1 - at.wx), (1 - at.wy) * at.wx, at.wy * (1 - at.wx), at.wy * at.wx};
      for (int k = 0; k < 4; ++k) {
        add_to(base + corner[k], weight[k] * gx);
        add_to(base + size + corner[k], weight[k] * gy);
      }
      a = {a.x + at.d_dx.x * gx + at.d_dx.y * gy, a.y + at.d_dy.x * gx + at.d_dy.y * gy};
    }
  }
};

struct Element {
  const double* data;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const { t[0] = data[i]; }
};

}  // namespace

template <class T>
void ivp_loss(const Exec& exec, View<const T, 4> predicted, View<const T, 4> truth, const IvpOptions& options, T* value,
              View<T, 4> d_predicted) {
  for (int d = 0; d < 4; ++d) {
    BASIN_CHECK(predicted.dim[d] == truth.dim[d] && predicted.dim[d] > 0, "predicted ", predicted, ", truth ", truth);
    BASIN_CHECK(!d_predicted.data || d_predicted.dim[d] == truth.dim[d], "predicted ", truth, ", d ", d_predicted);
  }
  BASIN_CHECK(truth.dim[1] == 2, "a field has two components, not ", truth);
  BASIN_CHECK(options.steps > 0, options.steps, " steps");
  const int n = truth.dim[0], h = truth.dim[2], w = truth.dim[3];
  const int64_t size = int64_t(h) * w, pixels = n * size;
  BASIN_CHECK(size < int64_t(1) << 31, "image of ", truth);
  const double squares = double(options.steps) * 2 * double(pixels);
  const T scale = T(2 / squares);

  Temp<Vec2<T>> predicted_pairs(exec, pixels), true_pairs(exec, pixels);
  interleave(exec, predicted, predicted_pairs.data());
  interleave(exec, truth, true_pairs.data());
  Temp<double> total(exec, 1);

  if (exec.device == Device::cpu && exec.variant != Variant::plain) {
    Temp<double> of_row(exec, int64_t(n) * h);
    ivp_rows(exec, {predicted_pairs.data(), true_pairs.data(), n, h, w, T(options.step), options.steps, scale},
             of_row.data(), d_predicted);
    sum<1>(exec, of_row.size(), Element{of_row.data()}, total.data());
    for_each(exec, 1, Mean<T>{total.data(), squares, value});
    return;
  }

  Temp<Vec2<T>> start(exec, options.steps * pixels), apart(exec, options.steps * pixels);
  Temp<double> of_pixel(exec, pixels);
  const Trajectories<T> path{{predicted_pairs.data(), h, w},
                             {true_pairs.data(), h, w},
                             T(options.step),
                             options.steps,
                             pixels,
                             start.data(),
                             apart.data()};
  for_each(exec, pixels, Forward<T>{path, of_pixel.data()});
  sum<1>(exec, pixels, Element{of_pixel.data()}, total.data());
  for_each(exec, 1, Mean<T>{total.data(), squares, value});
  if (!d_predicted.data) return;
  if (exec.device == Device::cuda && exec.deterministic) {
    Temp<unsigned long long> fixed(exec, 2 * pixels);
    Temp<int32_t> bad(exec, 1);
    for_each(exec, 2 * pixels, Fill<unsigned long long>{fixed.data(), 0});
    for_each(exec, 1, Fill<int32_t>{bad.data(), 0});
    const double one = AddFixed<T>::parts_for(4.0 * double(size) * options.steps);
    for_each(exec, pixels, Backward<T, AddFixed<T>>{path, scale, {fixed.data(), bad.data(), 1 / scale, one}});
    for_each(exec, 2 * pixels, FromFixed<T>{fixed.data(), bad.data(), 1 / scale, one, d_predicted.data});
    return;
  }
  for_each(exec, 2 * pixels, Fill<T>{d_predicted.data, T(0)});
  for_each_in_groups(exec, n, size, Backward<T, AddGradient<T>>{path, scale, {d_predicted.data}});
}

template void ivp_loss<float>(const Exec&, View<const float, 4>, View<const float, 4>, const IvpOptions&, float*,
                              View<float, 4>);
template void ivp_loss<double>(const Exec&, View<const double, 4>, View<const double, 4>, const IvpOptions&, double*,
                               View<double, 4>);

}  // namespace basin::kernels

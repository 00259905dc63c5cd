#include "kernels/flow/integrate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/flow/integrate_chunks.h"
#include "kernels/flow/solvers.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

template <Solver solver, class Field, class T>
struct FixedSteps {
  Field field;
  View<T, 2> points;
  IntegrateOptions options;
  const uint8_t* mask;

  BASIN_HD void operator()(int64_t i) const {
    if (mask && !mask[i]) return;
    T x = points(i, 0), y = points(i, 1);
    if (options.suppression == Suppression::omnipose) {
      Vec2<T> v = field(x, y);
      for (int n = 0; n < options.steps; ++n)
        advance_averaged(field, step_length<T>(options, n), x, y, v.x, v.y);
    } else {
      for (int n = 0; n < options.steps; ++n)
        advance<solver>(field, step_length<T>(options, n), x, y);
    }
    points(i, 0) = x;
    points(i, 1) = y;
  }
};

template <class Field, class T>
struct AdaptiveSteps {
  Field field;
  View<T, 2> points;
  IntegrateOptions options;
  const uint8_t* mask;

  BASIN_HD void operator()(int64_t i) const {
    if (mask && !mask[i]) return;
    T x = points(i, 0), y = points(i, 1);
    Vec2<T> k1 = field(x, y);
    for (AdaptiveClock<T> clock(options); !clock.done;) {
      const DormandPrince<T> to(field, clock.trial(), x, y, k1);
      if (clock.accept(to.difference)) x = to.x, y = to.y, k1 = to.k7;
    }
    points(i, 0) = x;
    points(i, 1) = y;
  }
};

template <class Field, class T>
void integrate_in(const Exec& exec, const Field& field, View<T, 2> points, const IntegrateOptions& options,
                  const uint8_t* mask) {
  const int64_t n = points.dim[0];
  switch (options.solver) {
    case Solver::euler:
      return for_each(exec, n, FixedSteps<Solver::euler, Field, T>{field, points, options, mask});
    case Solver::midpoint:
      return for_each(exec, n, FixedSteps<Solver::midpoint, Field, T>{field, points, options, mask});
    case Solver::rk4:
      return for_each(exec, n, FixedSteps<Solver::rk4, Field, T>{field, points, options, mask});
    case Solver::dopri5:
      return for_each(exec, n, AdaptiveSteps<Field, T>{field, points, options, mask});
  }
}

}  // namespace

double reach(const IntegrateOptions& options, double largest, int side) {
  // For Dormand and Prince's method: the sum of the magnitudes of the coefficients of the result, and the largest such
  // sum of a stage. The step of a trial is at most 1.
  constexpr double result = 1.65, stage = 25;
  const double time = options.step * options.steps, bounded = std::abs(largest);
  const double moved = options.solver == Solver::dopri5 ? time * bounded * result + bounded * stage : time * bounded;
  const double steps = std::max(options.steps, AdaptiveClock<float>::max_trials);
  return moved + 8 * steps * side * double(std::numeric_limits<float>::epsilon()) + 1;
}

template <class T>
void integrate(const Exec& exec, View<const T, 3> field, View<T, 2> points, const IntegrateOptions& options,
               View<const uint8_t, 1> mask, const FieldWindow& part) {
  const int h = field.dim[1], w = field.dim[2];
  BASIN_CHECK(field.dim[0] == 2 && h > 0 && w > 0, "field ", field);
  BASIN_CHECK(points.dim[1] == 2 && (!mask.data || mask.dim[0] == points.dim[0]), "points ", points, ", mask ", mask);
  BASIN_CHECK(int64_t(h) * w < int64_t(1) << 31 && h < field_side_limit && w < field_side_limit, "field ", field);
  BASIN_CHECK(options.steps >= 0 && options.tolerance > 0, options.steps, " steps, tolerance ", options.tolerance);
  check(options);
  const FieldWindow of = part.height > 0 ? part : FieldWindow{0, 0, h, w};
  BASIN_CHECK(of.y >= 0 && of.x >= 0 && of.y + h <= of.height && of.x + w <= of.width, "field ", field, " at ", of.y,
              ", ", of.x, " of ", of.height, " x ", of.width);
  BASIN_CHECK(int64_t(of.height) * of.width < int64_t(1) << 31, of.height, " x ", of.width, " pixels");
  Temp<Vec2<T>> pairs(exec, int64_t(h) * w);
  interleave(exec, View<const T, 4>{field.data, {1, 2, h, w}}, pairs.data());
  const BilinearField<T> bilinear(pairs.data(), of, w);
  if (exec.device == Device::cpu && exec.variant != Variant::plain && !mask.data)
    return integrate_chunks<T>(bilinear, points, options);
  if (options.interpolation == Interpolation::bilinear)
    integrate_in(exec, bilinear, points, options, mask.data);
  else
    integrate_in(exec, NearestField<T>(bilinear), points, options, mask.data);
}

template void integrate<float>(const Exec&, View<const float, 3>, View<float, 2>, const IntegrateOptions&,
                               View<const uint8_t, 1>, const FieldWindow&);
template void integrate<double>(const Exec&, View<const double, 3>, View<double, 2>, const IntegrateOptions&,
                                View<const uint8_t, 1>, const FieldWindow&);

}  // namespace basin::kernels

#include "kernels/flow/integrate_chunks.h"

#include <algorithm>

#include "kernels/flow/solvers.h"

namespace basin::kernels {
namespace {

constexpr int chunk = 512;

/// The coordinates of a chunk of points as separate arrays, so that they load as vectors. Lanes beyond the last point
/// follow the first one: a field may be a window, in which only positions near the points have memory.
template <class T>
struct Chunk {
  T x[chunk], y[chunk];

  int load(View<T, 2> points, int64_t first) {
    const int n = int(std::min<int64_t>(chunk, points.dim[0] - first));
    for (int i = 0; i < n; ++i) {
      x[i] = points.data[2 * (first + i)];
      y[i] = points.data[2 * (first + i) + 1];
    }
    for (int i = n; i < chunk; ++i)
      x[i] = x[0], y[i] = y[0];
    return n;
  }
  void store(View<T, 2> points, int64_t first, int n) const {
    for (int i = 0; i < n; ++i) {
      points.data[2 * (first + i)] = x[i];
      points.data[2 * (first + i) + 1] = y[i];
    }
  }
};

template <Solver solver, class Field, class T>
struct FixedSteps {
  Field field;
  View<T, 2> points;
  IntegrateOptions options;

  void operator()(int64_t task) const {
    const Field f = field;
    Chunk<T> p;
    const int n = p.load(points, task * chunk);
    for (int s = 0; s < options.steps; ++s) {
      const T h = step_length<T>(options, s);
#pragma omp simd
      for (int i = 0; i < chunk; ++i)
        advance<solver>(f, h, p.x[i], p.y[i]);
    }
    p.store(points, task * chunk, n);
  }
};

template <class Field, class T>
struct AveragedSteps {
  Field field;
  View<T, 2> points;
  IntegrateOptions options;

  void operator()(int64_t task) const {
    const Field f = field;
    Chunk<T> p;
    T vx[chunk], vy[chunk];
    const int n = p.load(points, task * chunk);
    for (int i = 0; i < chunk; ++i) {
      const Vec2<T> v = f(p.x[i], p.y[i]);
      vx[i] = v.x;
      vy[i] = v.y;
    }
    for (int s = 0; s < options.steps; ++s) {
      const T h = step_length<T>(options, s);
#pragma omp simd
      for (int i = 0; i < chunk; ++i)
        advance_averaged(f, h, p.x[i], p.y[i], vx[i], vy[i]);
    }
    p.store(points, task * chunk, n);
  }
};

/// Runs the trials of several points together until the last of them is done; surplus results of the others are
/// ignored.
template <class Field, class T>
struct AdaptiveSteps {
  static constexpr int lanes = 64;
  Field field;
  View<T, 2> points;
  IntegrateOptions options;

  void operator()(int64_t task) const {
    const Field f = field;
    const int64_t first = task * lanes;
    const int n = int(std::min<int64_t>(lanes, points.dim[0] - first));
    T x[lanes], y[lanes], kx[lanes], ky[lanes], h[lanes] = {};
    T to_x[lanes], to_y[lanes], to_kx[lanes], to_ky[lanes], dx[lanes], dy[lanes];
    for (int i = 0; i < n; ++i) {
      x[i] = points.data[2 * (first + i)];
      y[i] = points.data[2 * (first + i) + 1];
    }
    for (int i = n; i < lanes; ++i)
      x[i] = x[0], y[i] = y[0];
    for (int i = 0; i < lanes; ++i) {
      const Vec2<T> k = f(x[i], y[i]);
      kx[i] = k.x;
      ky[i] = k.y;
    }
    AdaptiveClock<T> clocks[lanes];
    std::fill_n(clocks, n, AdaptiveClock<T>(options));
    for (;;) {
      bool all_done = true;
      for (int i = 0; i < n; ++i) {
        all_done &= clocks[i].done;
        h[i] = clocks[i].trial();
      }
      if (all_done) break;
#pragma omp simd
      for (int i = 0; i < lanes; ++i) {
        const DormandPrince<T> to(f, h[i], x[i], y[i], {kx[i], ky[i]});
        to_x[i] = to.x;
        to_y[i] = to.y;
        to_kx[i] = to.k7.x;
        to_ky[i] = to.k7.y;
        dx[i] = to.difference.x;
        dy[i] = to.difference.y;
      }
      for (int i = 0; i < n; ++i)
        if (!clocks[i].done && clocks[i].accept({dx[i], dy[i]})) {
          x[i] = to_x[i], y[i] = to_y[i];
          kx[i] = to_kx[i], ky[i] = to_ky[i];
        }
    }
    for (int i = 0; i < n; ++i) {
      points.data[2 * (first + i)] = x[i];
      points.data[2 * (first + i) + 1] = y[i];
    }
  }
};

template <class Field, class T>
void integrate_in(const Field& field, View<T, 2> points, const IntegrateOptions& options) {
  const int64_t chunks = (int64_t(points.dim[0]) + chunk - 1) / chunk;
  if (options.suppression == Suppression::omnipose)
    return for_each_task(chunks, AveragedSteps<Field, T>{field, points, options});
  switch (options.solver) {
    case Solver::euler:
      return for_each_task(chunks, FixedSteps<Solver::euler, Field, T>{field, points, options});
    case Solver::midpoint:
      return for_each_task(chunks, FixedSteps<Solver::midpoint, Field, T>{field, points, options});
    case Solver::rk4:
      return for_each_task(chunks, FixedSteps<Solver::rk4, Field, T>{field, points, options});
    case Solver::dopri5: {
      constexpr int lanes = AdaptiveSteps<Field, T>::lanes;
      return for_each_task((int64_t(points.dim[0]) + lanes - 1) / lanes,
                           AdaptiveSteps<Field, T>{field, points, options});
    }
  }
}

template <class T, bool wide>
void integrate_with(const BilinearField<T>& field, View<T, 2> points, const IntegrateOptions& options) {
  if (options.interpolation == Interpolation::bilinear)
    integrate_in(BilinearField<T, wide>(field), points, options);
  else
    integrate_in(NearestField<T, wide>(field), points, options);
}

}  // namespace

template <class T>
void integrate_chunks(const BilinearField<T>& field, View<T, 2> points, const IntegrateOptions& options) {
  isa() == Isa::avx512 ? integrate_with<T, true>(field, points, options)
                       : integrate_with<T, false>(field, points, options);
}

template void integrate_chunks<float>(const BilinearField<float>&, View<float, 2>, const IntegrateOptions&);
template void integrate_chunks<double>(const BilinearField<double>&, View<double, 2>, const IntegrateOptions&);

}  // namespace basin::kernels

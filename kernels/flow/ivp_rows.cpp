#include "kernels/flow/ivp_rows.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace basin::kernels {
namespace {

constexpr int chunk = 64;  // pixels of a row that are processed together
constexpr int cell_size = 8;

/// The data of one step of a chunk that the backward pass needs.
template <class T>
struct Step {
  T x_dx[chunk], y_dx[chunk], x_dy[chunk], y_dy[chunk];  // derivatives of the field's components by position
  T wx[chunk], wy[chunk];
  T apart_x[chunk], apart_y[chunk];  // predicted minus true point after the step
  int corner[chunk];
};

/// A chunk's working memory, one per thread.
template <class T>
struct Work {
  T px[chunk], py[chunk], qx[chunk], qy[chunk];  // the points in the predicted and in the true field
  T squares[chunk];
  T ax[chunk], ay[chunk];  // gradient with respect to the points
  T share[chunk * cell_size];
};

template <class T, bool wide>
struct Band {
  IvpProblem<T> problem;
  double* squares;
  View<T, 4> d_predicted;
  T* cells;                     // [n, h, w, 8]; null: no gradient needed
  Work<T>* work;                // [threads]
  Step<T>* step;                // [threads, steps]
  int height, of_image, phase;  // bands of an image in this phase

  void operator()(int64_t task) const {
    const int image = int(task / of_image), band = int(task % of_image) * 2 + phase;
    Work<T>& mine = work[omp_get_thread_num()];
    Step<T>* steps = step + int64_t(omp_get_thread_num()) * problem.steps;
    for (int y = band * height; y < std::min((band + 1) * height, problem.h); ++y) {
      double sum = 0;
      for (int x = 0; x < problem.w; x += chunk)
        sum += run(image, y, x, std::min(chunk, problem.w - x), mine, steps);
      squares[int64_t(image) * problem.h + y] = sum;
    }
  }

  double run(int image, int y, int x, int n, Work<T>& at, Step<T>* steps) const {
    const int64_t size = int64_t(problem.h) * problem.w;
    const BilinearField<T, wide> predicted{problem.predicted + image * size, problem.h, problem.w};
    const BilinearField<T, wide> truth{problem.truth + image * size, problem.h, problem.w};
    start(at, steps[0], predicted.at + int64_t(y) * problem.w + x, truth.at + int64_t(y) * problem.w + x, x, y, n);
    for (int m = 1; m < problem.steps; ++m) {
      if (cells)
        advance_linear(predicted, at, steps[m]);
      else
        advance(predicted, at.px, at.py);
      advance(truth, at.qx, at.qy);
      compare(at, steps[m]);
    }
    if (cells) {
      for (int i = 0; i < chunk; ++i)
        at.ax[i] = at.ay[i] = 0;
      T* cell = cells + image * size * cell_size;
      for (int m = problem.steps - 1; m > 0; --m)
        go_back(at, steps[m], cell, n);
      finish(at, steps[0], image, y, x, n);
    }
    return sum_of(at.squares, n);
  }

  /// The first step starts on the lattice, so it needs no interpolation. Lanes beyond n stay at the origin.
  void start(Work<T>& at, Step<T>& first, const Vec2<T>* predicted, const Vec2<T>* truth, int x, int y, int n) const {
    const T h = problem.step;
    for (int i = 0; i < n; ++i) {
      at.px[i] = T(x + i) + h * predicted[i].x;
      at.py[i] = T(y) + h * predicted[i].y;
      at.qx[i] = T(x + i) + h * truth[i].x;
      at.qy[i] = T(y) + h * truth[i].y;
    }
    for (int i = n; i < chunk; ++i)
      at.px[i] = at.py[i] = at.qx[i] = at.qy[i] = 0;
    for (int i = 0; i < chunk; ++i)
      at.squares[i] = 0;
    compare(at, first);
  }

  void advance(BilinearField<T, wide> field, T* x, T* y) const {
    const T h = problem.step;
#pragma omp simd
    for (int i = 0; i < chunk; ++i) {
      const Vec2<T> v = field(x[i], y[i]);
      x[i] += h * v.x;
      y[i] += h * v.y;
    }
  }

  void advance_linear(BilinearField<T, wide> field, Work<T>& at, Step<T>& out) const {
    const T h = problem.step;
#pragma omp simd
    for (int i = 0; i < chunk; ++i) {
      const auto v = field.linear(at.px[i], at.py[i]);
      out.x_dx[i] = v.d_dx.x;
      out.y_dx[i] = v.d_dx.y;
      out.x_dy[i] = v.d_dy.x;
      out.y_dy[i] = v.d_dy.y;
      out.wx[i] = v.wx;
      out.wy[i] = v.wy;
      out.corner[i] = v.corner;
      at.px[i] += h * v.value.x;
      at.py[i] += h * v.value.y;
    }
  }

  void compare(Work<T>& at, Step<T>& out) const {
#pragma omp simd
    for (int i = 0; i < chunk; ++i) {
      const T dx = at.px[i] - at.qx[i], dy = at.py[i] - at.qy[i];
      out.apart_x[i] = dx;
      out.apart_y[i] = dy;
      at.squares[i] += dx * dx + dy * dy;
    }
  }

  void go_back(Work<T>& at, const Step<T>& step, T* cell, int n) const {
    const T h = problem.step, scale = problem.scale;
#pragma omp simd
    for (int i = 0; i < chunk; ++i) {
      const T ax = at.ax[i] + scale * step.apart_x[i], ay = at.ay[i] + scale * step.apart_y[i];
      const T gx = h * ax, gy = h * ay, wx = step.wx[i], wy = step.wy[i];
      at.ax[i] = ax + step.x_dx[i] * gx + step.y_dx[i] * gy;
      at.ay[i] = ay + step.x_dy[i] * gx + step.y_dy[i] * gy;
      const T w00 = (1 - wy) * (1 - wx), w01 = (1 - wy) * wx, w10 = wy * (1 - wx), w11 = wy * wx;
      T* share = at.share + i * cell_size;
      share[0] = w00 * gx, share[1] = w00 * gy;
      share[2] = w01 * gx, share[3] = w01 * gy;
      share[4] = w10 * gx, share[5] = w10 * gy;
      share[6] = w11 * gx, share[7] = w11 * gy;
    }
    for (int i = 0; i < n; ++i) {
      T* to = cell + int64_t(step.corner[i]) * cell_size;
      const T* from = at.share + i * cell_size;
#pragma omp simd
      for (int k = 0; k < cell_size; ++k)
        to[k] += from[k];
    }
  }

  /// The first step starts at the pixel itself and depends on no other, so that its contribution initialises the
  /// gradient.
  void finish(const Work<T>& at, const Step<T>& step, int image, int y, int x, int n) const {
    T* dx = &d_predicted(image, 0, y, x);
    T* dy = &d_predicted(image, 1, y, x);
    const T h = problem.step, scale = problem.scale;
#pragma omp simd
    for (int i = 0; i < n; ++i) {
      dx[i] = h * (at.ax[i] + scale * step.apart_x[i]);
      dy[i] = h * (at.ay[i] + scale * step.apart_y[i]);
    }
  }

  static double sum_of(const T* squares, int n) {
    double lane[8] = {}, sum = 0;
    for (int i = 0; i < n; ++i)
      lane[i % 8] += double(squares[i]);
    for (double s : lane)
      sum += s;
    return sum;
  }
};

/// Adds to each pixel of a row the contributions from the four cells around it.
template <class T>
struct Collect {
  const T* cells;
  View<T, 4> d_predicted;

  void operator()(int64_t row) const {
    const int64_t h = d_predicted.dim[2], w = d_predicted.dim[3], image = row / h, y = row % h;
    T* dx = d_predicted.data + (2 * image * h + y) * w;
    T* dy = dx + h * w;
    collect(cells + row * w * cell_size, 0, dx, dy, w);
    if (y > 0) collect(cells + (row - 1) * w * cell_size, 4, dx, dy, w);
  }

  static void collect(const T* row, int corner, T* dx, T* dy, int64_t w) {
    const T* left = row + corner;
    const T* right = row + corner + 2;
    dx[0] += left[0];
    dy[0] += left[1];
#pragma omp simd
    for (int64_t x = 1; x < w; ++x) {
      dx[x] += left[x * cell_size] + right[(x - 1) * cell_size];
      dy[x] += left[x * cell_size + 1] + right[(x - 1) * cell_size + 1];
    }
  }
};

template <class T>
struct ClearRow {
  T* data;
  int64_t width;
  void operator()(int64_t row) const { std::memset(data + row * width, 0, size_t(width) * sizeof(T)); }
};

/// The largest |v_y| of each row; infinite if there is a NaN.
template <class T>
struct LargestY {
  const Vec2<T>* field;
  int64_t w;
  T* of_row;
  void operator()(int64_t row) const {
    T most = 0;
    const Vec2<T>* v = field + row * w;
#pragma omp simd reduction(max : most)
    for (int64_t x = 0; x < w; ++x) {
      const T y = v[x].y < 0 ? -v[x].y : v[x].y;
      const T safe = y <= std::numeric_limits<T>::max() ? y : std::numeric_limits<T>::infinity();
      most = most > safe ? most : safe;
    }
    of_row[row] = most;
  }
};

}  // namespace

template <class T>
int ivp_reach(const Exec& exec, const IvpProblem<T>& p) {
  const int64_t rows = int64_t(p.n) * p.h;
  Temp<T> largest(exec, rows);
  for_each_task(rows, LargestY<T>{p.predicted, p.w, largest.data()});
  const T most = *std::max_element(largest.data(), largest.data() + rows);
  const double rounding = double(p.steps) * p.h * double(std::numeric_limits<T>::epsilon());
  const double stray = std::abs(double(p.step)) * p.steps * double(most) + rounding + 1;
  return stray < p.h ? int(std::ceil(stray)) : p.h;
}

template <class T>
void ivp_rows(const Exec& exec, const IvpProblem<T>& problem, double* squares, View<T, 4> d_predicted) {
  const int threads = omp_get_max_threads();
  const bool gradient = d_predicted.data != nullptr;
  const int64_t rows = int64_t(problem.n) * problem.h, width = int64_t(problem.w) * cell_size;
  Temp<Work<T>> work(exec, threads);
  Temp<Step<T>> step(exec, int64_t(threads) * problem.steps);
  Temp<T> cells(exec, gradient ? rows * width : 0);
  if (gradient) for_each_task(rows, ClearRow<T>{cells.data(), width});

  const int height = gradient ? std::max(16, 2 * ivp_reach(exec, problem)) : 16;
  const int bands = (problem.h + height - 1) / height;
  auto run = [&]<bool wide>(std::bool_constant<wide>) {
    for (int phase = 0; phase < 2; ++phase) {
      const int of_image = (bands + 1 - phase) / 2;
      for_each_task(int64_t(problem.n) * of_image,
                    Band<T, wide>{problem, squares, d_predicted, gradient ? cells.data() : nullptr, work.data(),
                                  step.data(), height, of_image, phase});
    }
  };
  isa() == Isa::avx512 ? run(std::true_type{}) : run(std::false_type{});
  if (gradient) for_each_task(rows, Collect<T>{cells.data(), d_predicted});
}

template int ivp_reach<float>(const Exec&, const IvpProblem<float>&);
template int ivp_reach<double>(const Exec&, const IvpProblem<double>&);
template void ivp_rows<float>(const Exec&, const IvpProblem<float>&, double*, View<float, 4>);
template void ivp_rows<double>(const Exec&, const IvpProblem<double>&, double*, View<double, 4>);

}  // namespace basin::kernels

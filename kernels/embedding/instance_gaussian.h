#pragma once
#include "kernels/embedding/instance_loss.h"
#include "kernels/runtime/elementary.h"
#include "kernels/runtime/parallel.h"

/// Internal to instance_loss.cu: the points that pixels point to, and the Gaussian of each object.
namespace basin::kernels {
namespace {

constexpr int piece_width = 64;  // rows are processed in pieces of this many pixels

template <class T>
BASIN_HD T gaussian_exponent(T s_x, T s_y, T dx, T dy) {
  return s_x * (dx * dx) + s_y * (dy * dy);
}

/// Device memory of one evaluation of the loss. k is an index into the table of objects, K in all.
template <class T>
struct Gaussians {
  View<const T, 4> raw;             // [N, 5, H, W]
  View<const int32_t, 4> labels;    // [N, L, H, W]
  ObjectTable table;                // [N, K]
  View<const double, 3> centre_px;  // [N, K, 2]
  View<T, 4> e;                     // [N, 2, H, W]: the point that each pixel points to
  View<T, 4> piece_box = {};        // [N, H, pieces, 4]: minimum of e_x, e_y, maximum of e_x, e_y
  View<T, 3> sigma = {};            // [N, K, 2]: mean of the object
  View<T, 3> s = {};                // [N, K, 2]
  View<T, 3> centre = {};           // [N, K, 2], grid units
  View<T, 2> reach = {};            // [N, K]: other pixels with an exponent of at least this do not contribute

  BASIN_HD int crops() const { return raw.dim[0]; }
  BASIN_HD int height() const { return raw.dim[2]; }
  BASIN_HD int width() const { return raw.dim[3]; }
  BASIN_HD int64_t pixels() const { return int64_t(height()) * width(); }
  BASIN_HD int pieces() const { return piece_box.dim[2]; }
  BASIN_HD bool has(int n, int k) const { return k < table.count(n) && table.area(n, k) > 0; }
  /// Row y of the layer that contains object k: the object's pixels have the label k + 1.
  BASIN_HD const int32_t* labels_of(int n, int k, int y) const { return &labels(n, table.layer(n, k), y, 0); }
  BASIN_HD T exponent(int n, int k, T e_x, T e_y) const {
    return gaussian_exponent(s(n, k, 0), s(n, k, 1), e_x - centre(n, k, 0), e_y - centre(n, k, 1));
  }
  BASIN_HD T exponent_at(int n, int k, int y, int x) const { return exponent(n, k, e(n, 0, y, x), e(n, 1, y, x)); }
};

/// The rows of each object, with index (n * K + k) * H + y: calls f(n, k, y, first x, last x) if the object's box
/// contains row y.
template <class T, class F>
BASIN_HD void with_row(const Gaussians<T>& g, int64_t i, const F& f) {
  const int64_t object = quotient(i, g.height());
  const int y = int(i - object * g.height()), n = int(quotient(object, g.table.capacity()));
  const int k = int(object - int64_t(n) * g.table.capacity());
  if (!g.has(n, k)) return;
  const int32_t* box = g.table.box.data + 4 * object;
  if (y >= box[1] && y <= box[3]) f(n, k, y, box[0], box[2]);
}

/// Computes e of each pixel, and stores the derivatives of tanh where the gradient will be written.
template <class T>
struct Embed {
  Gaussians<T> g;
  View<T, 4> gradient;

  BASIN_HD void operator()(int64_t row, int64_t x) const {  // row: n * H + y
    const int n = int(quotient(row, g.height())), y = int(row - int64_t(n) * g.height());
    const T at[2] = {T(x) / T(coordinate_grid - 1), T(y) / T(coordinate_grid - 1)};
    for (int c = 0; c < 2; ++c) {
      const T t = tanh_of(g.raw(n, c, y, x));
      g.e(n, c, y, x) = at[c] + t;
      if (gradient.data) gradient(n, c, y, x) = 1 - t * t;
    }
  }
};

template <class T>
struct BoxPiece {
  Gaussians<T> g;

  BASIN_HD void operator()(int64_t i) const {  // piece i
    const int64_t row = quotient(i, g.pieces());
    const int n = int(quotient(row, g.height())), y = int(row - int64_t(n) * g.height());
    const int begin = int(i - row * g.pieces()) * piece_width;
    const int end = begin + piece_width < g.width() ? begin + piece_width : g.width();
    for (int c = 0; c < 2; ++c) {
      const T* e = &g.e(n, c, y, 0);
      T least = T(1e30), greatest = T(-1e30);
      for (int x = begin; x < end; ++x) {  // NaN does not change them
        least = e[x] < least ? e[x] : least;
        greatest = e[x] > greatest ? e[x] : greatest;
      }
      g.piece_box.data[4 * i + c] = least;
      g.piece_box.data[4 * i + 2 + c] = greatest;
    }
  }
};

/// Sums of sigma over each row of each object.
template <class T>
struct SigmaOfRow {
  Gaussians<T> g;
  double* sums;  // [N, K, H, 2]

  BASIN_HD void operator()(int64_t i) const {
    with_row(g, i, [&](int n, int k, int y, int first, int last) {
      const int32_t* label = g.labels_of(n, k, y);
      double sum[2] = {};
      for (int x = first; x <= last; ++x)
        if (label[x] == k + 1)
          for (int c = 0; c < 2; ++c)
            sum[c] += double(g.raw(n, 2 + c, y, x));
      sums[2 * i] = sum[0];
      sums[2 * i + 1] = sum[1];
    });
  }
};

template <class T>
struct Shape {
  Gaussians<T> g;
  const double* sums;

  BASIN_HD void operator()(int64_t i) const {  // n * K + k
    const int n = int(quotient(i, g.table.capacity())), k = int(i - int64_t(n) * g.table.capacity());
    if (!g.has(n, k)) return;
    for (int c = 0; c < 2; ++c) {
      double sum = 0;
      for (int y = g.table.box(n, k, 1); y <= g.table.box(n, k, 3); ++y)
        sum += sums[2 * (i * g.height() + y) + c];
      const double mean = sum / g.table.area(n, k);
      g.sigma(n, k, c) = T(mean);
      g.s(n, k, c) = exp_of(T(10 * mean));
      g.centre(n, k, c) = T(g.centre_px(n, k, c)) / T(coordinate_grid - 1);
    }
  }
};

/// The smallest exponent among the object's own pixels, for each row of each object.
template <class T>
struct NearestOfRow {
  Gaussians<T> g;
  T* least;  // [N, K, H]

  BASIN_HD void operator()(int64_t i) const {
    with_row(g, i, [&](int n, int k, int y, int first, int last) {
      const int32_t* label = g.labels_of(n, k, y);
      T u = T(1e30);
      for (int x = first; x <= last; ++x)
        if (label[x] == k + 1) {
          const T of_pixel = g.exponent_at(n, k, y, x);
          if (of_pixel < u) u = of_pixel;
        }
      least[i] = u;
    });
  }
};

/// The exponent from which on pixels of other objects do not contribute to an object's hinge. If d is below half the
/// unit roundoff, 2 d - 1 rounds to -1 and the hinge is 0. A pixel also has no weight if it comes after all pixels of
/// the object, that is if its d is below 1 - d, with d of the object's pixel that is nearest to the centre.
template <class T>
struct Reach {
  Gaussians<T> g;
  const T* least;

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(quotient(i, g.table.capacity())), k = int(i - int64_t(n) * g.table.capacity());
    if (!g.has(n, k)) return;
    T u = T(1e30);
    for (int y = g.table.box(n, k, 1); y <= g.table.box(n, k, 3); ++y) {
      const T of_row = least[i * g.height() + y];
      if (of_row < u) u = of_row;
    }
    const double rounds_away = sizeof(T) == 4 ? 18.03 : 38.2;  // ln 2^26, ln 2^55
    const double rest = double(1 - exp_of(-u)), behind = rest > 0 ? -log(rest) * (1 + 1e-5) + 1e-5 : rounds_away;
    g.reach(n, k) = T(behind < rounds_away ? behind : rounds_away);
  }
};

}  // namespace
}  // namespace basin::kernels

#pragma once
#include "kernels/embedding/instance_gaussian.h"

/// Internal to instance_loss.cu: the pairs of an object and a pixel that are sorted.
namespace basin::kernels {
namespace {

/// Slots: the pairs of an object and a pixel with a hinge that matters, by crop, object and position of the pixel.
template <class T>
struct Slots {
  const int32_t* offset;  // [N * K * H * pieces + 1]: the first slot of an object in a piece of a row
  int capacity;
  int32_t* x;
  T *d, *error, *weight;
  uint8_t* own;  // whether the pixel belongs to the object
};

/// Object and piece of the index ((n * K + k) * H + y) * pieces + piece.
struct PieceOfObject {
  int n, k, y, begin, end, piece;

  template <class T>
  BASIN_HD PieceOfObject(const Gaussians<T>& g, int64_t i) {
    const int64_t row = quotient(i, g.pieces()), object = quotient(row, g.height());
    piece = int(i - row * g.pieces());
    y = int(row - object * g.height());
    n = int(quotient(object, g.table.capacity()));
    k = int(object - int64_t(n) * g.table.capacity());
    begin = piece * piece_width;
    end = begin + piece_width < g.width() ? begin + piece_width : g.width();
  }
  /// False if no pixel of the piece belongs to the object or is within its reach.
  template <class T>
  BASIN_HD bool touches(const Gaussians<T>& g) const {
    if (!g.has(n, k)) return false;
    const int32_t* box = &g.table.box(n, k, 0);
    if (y >= box[1] && y <= box[3] && begin <= box[2] && end > box[0]) return true;
    T nearest[2];
    const T* of = &g.piece_box(n, y, piece, 0);
    for (int c = 0; c < 2; ++c) {
      const T centre = g.centre(n, k, c);
      nearest[c] = centre < of[c] ? of[c] : centre > of[2 + c] ? of[2 + c] : centre;
    }
    return g.exponent(n, k, nearest[0], nearest[1]) < g.reach(n, k);
  }
};

/// The pixels of such a piece, with the values that a loop over them reads.
template <class T>
struct PixelsNear {
  const int32_t* label;
  const T *e_x, *e_y;
  T centre_x, centre_y, s_x, s_y, reach;
  int32_t own;

  BASIN_HD PixelsNear(const Gaussians<T>& g, const PieceOfObject& at)
      : label(g.labels_of(at.n, at.k, at.y)),
        e_x(&g.e(at.n, 0, at.y, 0)),
        e_y(&g.e(at.n, 1, at.y, 0)),
        centre_x(g.centre(at.n, at.k, 0)),
        centre_y(g.centre(at.n, at.k, 1)),
        s_x(g.s(at.n, at.k, 0)),
        s_y(g.s(at.n, at.k, 1)),
        reach(g.reach(at.n, at.k)),
        own(at.k + 1) {}
  BASIN_HD T exponent(int x) const { return gaussian_exponent(s_x, s_y, e_x[x] - centre_x, e_y[x] - centre_y); }
  /// NaN is near to no object but its own: in a training that has diverged, every pixel would be near to every object.
  BASIN_HD bool counts(int x) const { return (label[x] == own) | (exponent(x) < reach); }
};

template <class T>
struct CountSlots {
  Gaussians<T> g;
  int32_t* count;

  BASIN_HD void operator()(int64_t i) const {
    const PieceOfObject at(g, i);
    int32_t sum = 0;
    if (at.touches(g)) {
      const PixelsNear<T> pixels(g, at);
      for (int x = at.begin; x < at.end; ++x)
        sum += pixels.counts(x);
    }
    count[i] = sum;
  }
};

template <class T>
struct FillSlots {
  Gaussians<T> g;
  Slots<T> slots;

  BASIN_HD void operator()(int64_t i) const {
    int32_t slot = slots.offset[i];
    if (slots.offset[i + 1] == slot || slots.offset[i + 1] > slots.capacity) return;
    const PieceOfObject at(g, i);
    const PixelsNear<T> pixels(g, at);
    for (int x = at.begin; x < at.end; ++x) {
      if (!pixels.counts(x)) continue;
      const bool own = pixels.label[x] == pixels.own;
      const T d = exp_of(-pixels.exponent(x)), logit = 2 * d - 1;
      slots.x[slot] = x;
      slots.d[slot] = d;
      slots.error[slot] = own ? 1 - logit : 1 + logit;
      slots.own[slot] = own;
      ++slot;
    }
  }
};

}  // namespace
}  // namespace basin::kernels

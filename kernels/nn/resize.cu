#include "kernels/nn/resize.h"

#include <vector>

#include "kernels/runtime/feature_loops.h"
#include "kernels/runtime/resize_neighbours.h"

namespace basin::kernels {
namespace {

template <class X, class T = Arithmetic<X>>
struct ResizeBilinear {
  FeatureView<const X> in;
  FeatureShape shape;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = quotient(at.row, shape.h);
    const Neighbours<T> y(int(at.row - plane * shape.h), in.h, shape.h), x(at.x, in.w, shape.w);
    const X* from = in.data + plane * in.h * in.w * in.block + at.lane;
    const auto value = [&](int yy, int xx) { return T(from[(int64_t(yy) * in.w + xx) * in.block]); };
    out[at.offset] = interpolate<T>(y, x, value(y.first, x.first), value(y.first, x.second), value(y.second, x.first),
                                    value(y.second, x.second));
  }
};

/// The same for one row on the CPU, with the neighbours of each column computed once for all rows. Lanes = 0: any block
/// size.
template <int Lanes, class X, class T = Arithmetic<X>>
struct ResizeBilinearRow {
  FeatureView<const X> in;
  FeatureShape shape;
  const Neighbours<T>* columns;
  X* out;

  BASIN_HD void operator()(int64_t row) const {
    const int lanes = Lanes > 0 ? Lanes : shape.block;
    const int64_t plane = quotient(row, shape.h);
    const Neighbours<T> y(int(row - plane * shape.h), in.h, shape.h);
    const X* const above = in.data + (plane * in.h + y.first) * in.w * lanes;
    const X* const below = in.data + (plane * in.h + y.second) * in.w * lanes;
    for (int at = 0; at < shape.w; ++at) {
      const Neighbours<T> x = columns[at];
      const int64_t first = int64_t(x.first) * lanes, second = int64_t(x.second) * lanes;
      X* const to = out + row * shape.row_size() + int64_t(at) * lanes;
#pragma omp simd
      for (int lane = 0; lane < lanes; ++lane)
        to[lane] = interpolate<T>(y, x, T(above[first + lane]), T(above[second + lane]), T(below[first + lane]),
                                  T(below[second + lane]));
    }
  }
};

/// Runs over the elements of d_in.
template <class X, class T = Arithmetic<X>>
struct ResizeBilinearBackward {
  FeatureView<const X> d_out;
  FeatureShape shape;
  X* d_in;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = quotient(at.row, shape.h);
    const int y = int(at.row - plane * shape.h);
    const OutputRange rows(y, shape.h, d_out.h), columns(at.x, shape.w, d_out.w);
    const X* from = d_out.data + plane * d_out.h * d_out.w * d_out.block + at.lane;
    T sum = 0;
    for (int yy = rows.begin; yy < rows.end; ++yy) {
      const T row_weight = Neighbours<T>(yy, shape.h, d_out.h).of(y);
      if (row_weight == 0) continue;
      T row = 0;
      for (int xx = columns.begin; xx < columns.end; ++xx)
        row += Neighbours<T>(xx, shape.w, d_out.w).of(at.x) * T(from[(int64_t(yy) * d_out.w + xx) * d_out.block]);
      sum += row_weight * row;
    }
    d_in[at.offset] = sum;
  }
};

template <class X>
struct MaxPool3x3 {
  FeatureView<const X> in;
  FeatureShape shape;
  X* out;
  uint8_t* chosen;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = quotient(at.row, shape.h);
    const int top = int(at.row - plane * shape.h) * 2 - 1, left = at.x * 2 - 1;
    const X* from = in.data + plane * in.h * in.w * in.block + at.lane;
    Arithmetic<X> best = 0;
    int which = -1;
    for (int k = 0; k < 9; ++k) {
      const int y = top + k / 3, x = left + k % 3;
      if (y < 0 || y >= in.h || x < 0 || x >= in.w) continue;
      const Arithmetic<X> v = from[(int64_t(y) * in.w + x) * in.block];
      if (which < 0 || v > best || v != v) best = v, which = k;
    }
    out[at.offset] = best;
    if (chosen) chosen[at.offset] = uint8_t(which);
  }
};

/// Runs over the elements of d_in: up to four windows contain each.
template <class X>
struct MaxPool3x3Backward {
  FeatureView<const X> d_out;
  const uint8_t* chosen;
  FeatureShape shape;
  X* d_in;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t plane = quotient(at.row, shape.h), begin = plane * d_out.h * d_out.w * d_out.block + at.lane;
    const int y = int(at.row - plane * shape.h);
    Arithmetic<X> sum = 0;
    for (int yy = y / 2; yy <= (y + 1) / 2; ++yy)
      for (int xx = at.x / 2; xx <= (at.x + 1) / 2; ++xx) {
        if (yy >= d_out.h || xx >= d_out.w) continue;
        const int64_t window = begin + (int64_t(yy) * d_out.w + xx) * d_out.block;
        const int k = (y - yy * 2 + 1) * 3 + (at.x - xx * 2 + 1);
        if (chosen[window] == k) sum += Arithmetic<X>(d_out.data[window]);
      }
    d_in[at.offset] = sum;
  }
};

template <class A, class B>
void check_resize(const FeatureView<A>& in, const FeatureView<B>& out) {
  BASIN_CHECK(in.n == out.n && in.c == out.c && in.block == out.block && in.h > 0 && in.w > 0, "in ", in, ", out ",
              out);
}
template <class A, class B>
void check_pool(const FeatureView<A>& in, const FeatureView<B>& out) {
  BASIN_CHECK(
      in.n == out.n && in.c == out.c && in.block == out.block && out.h == (in.h + 1) / 2 && out.w == (in.w + 1) / 2,
      "in ", in, ", out ", out);
}

}  // namespace

template <class X>
void resize_bilinear(const Exec& exec, FeatureView<const X> in, FeatureView<X> out) {
  check_resize(in, out);
  const FeatureShape shape(out);
  if (exec.device != Device::cpu) return for_each_feature(exec, shape, ResizeBilinear<X>{in, shape, out.data});
  std::vector<Neighbours<Arithmetic<X>>> columns;
  for (int x = 0; x < out.w; ++x)
    columns.emplace_back(x, in.w, out.w);
  const auto rows = [&]<int Lanes>() {
    for_each_row_on_cpu(shape.rows(), ResizeBilinearRow<Lanes, X>{in, shape, columns.data(), out.data});
  };
  if (shape.block == 16) return rows.template operator()<16>();
  if (shape.block == 8) return rows.template operator()<8>();
  rows.template operator()<0>();
}

template <class X>
void resize_bilinear_backward(const Exec& exec, FeatureView<const X> d_out, FeatureView<X> d_in) {
  check_resize(d_in, d_out);
  const FeatureShape shape(d_in);
  for_each_feature(exec, shape, ResizeBilinearBackward<X>{d_out, shape, d_in.data});
}

template <class X>
void max_pool_3x3(const Exec& exec, FeatureView<const X> in, FeatureView<X> out, FeatureView<uint8_t> chosen) {
  const FeatureShape shape(out);
  check_pool(in, out);
  BASIN_CHECK(!chosen.data || shape.same(chosen), "chosen ", chosen, ", out ", out);
  for_each_feature(exec, shape, MaxPool3x3<X>{in, shape, out.data, chosen.data});
}

template <class X>
void max_pool_3x3_backward(const Exec& exec, FeatureView<const X> d_out, FeatureView<const uint8_t> chosen,
                           FeatureView<X> d_in) {
  check_pool(d_in, d_out);
  BASIN_CHECK(FeatureShape(d_out).same(chosen), "chosen ", chosen, ", d_out ", d_out);
  const FeatureShape shape(d_in);
  for_each_feature(exec, shape, MaxPool3x3Backward<X>{d_out, chosen.data, shape, d_in.data});
}

#define BASIN_INSTANTIATE(X)                                                                              \
  template void resize_bilinear<X>(const Exec&, FeatureView<const X>, FeatureView<X>);                    \
  template void resize_bilinear_backward<X>(const Exec&, FeatureView<const X>, FeatureView<X>);           \
  template void max_pool_3x3<X>(const Exec&, FeatureView<const X>, FeatureView<X>, FeatureView<uint8_t>); \
  template void max_pool_3x3_backward<X>(const Exec&, FeatureView<const X>, FeatureView<const uint8_t>, FeatureView<X>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

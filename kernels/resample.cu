#include "kernels/resample.h"

#include "kernels/features.h"

namespace basin::kernels {
namespace {

/// The first of the four pixels of a 2x2 window, for an element of the half-sized maps.
BASIN_HD int64_t window(const FeatureShape& half, FeatureAt at) {
  const int64_t plane = at.row / half.h, y = at.row % half.h;
  return ((plane * half.h * 2 + y * 2) * half.w * 2 + int64_t(at.x) * 2) * half.block + at.lane;
}

template <class T>
struct MaxPool {
  FeatureShape half;
  const T* in;
  T* out;
  uint8_t* chosen;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t first = window(half, at), right = half.block, down = int64_t(half.w) * 2 * half.block;
    T best = in[first];
    int which = 0;
    const int64_t at_pixel[3] = {first + right, first + down, first + down + right};
    for (int k = 0; k < 3; ++k) {
      const T v = in[at_pixel[k]];
      const bool wins = v > best || v != v;
      best = wins ? v : best;
      which = wins ? k + 1 : which;
    }
    out[at.offset] = best;
    chosen[at.offset] = uint8_t(which);
  }
};

template <class T, bool Add>
struct MaxPoolBackward {
  FeatureShape half;
  const T* d_out;
  const uint8_t* chosen;
  T* d_in;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t first = window(half, at), right = half.block, down = int64_t(half.w) * 2 * half.block;
    const T d = d_out[at.offset];
    const int which = chosen[at.offset];
    const int64_t at_pixel[4] = {first, first + right, first + down, first + down + right};
    for (int k = 0; k < 4; ++k) {
      const T v = which == k ? d : T(0);
      d_in[at_pixel[k]] = Add ? d_in[at_pixel[k]] + v : v;
    }
  }
};

/// Where the channels of `skip` begin: element (row, lane) of the concatenated maps belongs to low or to skip.
template <class T>
struct UpsampleConcat {
  FeatureShape shape;
  FeatureView<const T> low, skip;
  T* out;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups()), c = at.channel;
    T v = 0;
    if (c < low.c)
      v = low(n, c, y / 2, at.x / 2);
    else if (c < shape.c)
      v = skip(n, c - low.c, y, at.x);
    out[at.offset] = v;
  }
};

/// The same where whole groups belong to one of the two: no index arithmetic per element.
template <class T>
struct UpsampleGroups {
  FeatureShape shape;
  FeatureView<const T> low, skip;
  T* out;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const int y = int(row % shape.h), g = shape.group_of(row), n = int(row / shape.h / shape.groups());
    const int lows = low.groups(), b = shape.block;
    T* to = out + row * shape.row_size() + i;
    if (g >= lows)
      *to = skip.row((int64_t(n) * skip.groups() + g - lows) * shape.h + y)[i];
    else
      *to = low.row((int64_t(n) * lows + g) * low.h + y / 2)[i / b / 2 * b + i % b];
  }
};

template <class T>
struct LowGradient {
  FeatureShape low;
  FeatureView<const T> d_out;
  T* d_low;

  BASIN_HD void operator()(FeatureAt at) const {
    const int64_t groups = low.groups(), n = at.row / low.h / groups, g = at.row / low.h % groups, y = at.row % low.h;
    const int64_t row = (n * d_out.groups() + g) * d_out.h + 2 * y;
    const T* above = d_out.row(row) + int64_t(at.x) * 2 * low.block + at.lane;
    const T* below = d_out.row(row + 1) + int64_t(at.x) * 2 * low.block + at.lane;
    const T sum = (above[0] + above[low.block]) + (below[0] + below[low.block]);
    d_low[at.offset] = at.channel < low.c ? sum : T(0);
  }
};

template <class T>
struct SkipGradient {
  FeatureShape skip;
  int low_channels;
  FeatureView<const T> d_out;
  T* d_skip;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % skip.h), n = int(at.row / skip.h / skip.groups());
    d_skip[at.offset] = at.channel < skip.c ? d_out(n, low_channels + at.channel, y, at.x) : T(0);
  }
};

template <class T>
struct CopyRows {
  FeatureShape skip;
  int low_groups;
  FeatureView<const T> d_out;
  T* d_skip;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const int64_t groups = skip.groups(), n = row / skip.h / groups, g = row / skip.h % groups, y = row % skip.h;
    d_skip[row * skip.row_size() + i] = d_out.row((n * d_out.groups() + low_groups + g) * skip.h + y)[i];
  }
};

template <class T>
struct ChangeLayout {
  FeatureShape shape;
  FeatureView<const T> from;
  T* to;

  BASIN_HD void operator()(FeatureAt at) const {
    const int y = int(at.row % shape.h), n = int(at.row / shape.h / shape.groups());
    to[at.offset] = at.channel < shape.c ? from(n, at.channel, y, at.x) : T(0);
  }
};

template <class T>
struct AddTo {
  const T* from;
  T* to;

  BASIN_HD void operator()(int64_t i) const { to[i] += from[i]; }
};

template <class A, class B>
bool halves(const FeatureView<A>& half, const FeatureView<B>& whole) {
  return half.n == whole.n && half.h * 2 == whole.h && half.w * 2 == whole.w && half.block == whole.block;
}

}  // namespace

template <class T>
void max_pool(const Exec& exec, FeatureView<const T> in, FeatureView<T> out, FeatureView<uint8_t> chosen) {
  const FeatureShape half(out);
  BASIN_CHECK(halves(out, in) && in.c == out.c && half.same(chosen), "in ", in, ", out ", out);
  for_each_feature(exec, half, MaxPool<T>{half, in.data, out.data, chosen.data});
}

template <class T>
void max_pool_backward(const Exec& exec, FeatureView<const T> d_out, FeatureView<const uint8_t> chosen,
                       FeatureView<T> d_in, bool add) {
  const FeatureShape half(d_out);
  BASIN_CHECK(halves(d_out, d_in) && d_in.c == d_out.c && half.same(chosen), "d_in ", d_in, ", d_out ", d_out);
  if (add)
    for_each_feature(exec, half, MaxPoolBackward<T, true>{half, d_out.data, chosen.data, d_in.data});
  else
    for_each_feature(exec, half, MaxPoolBackward<T, false>{half, d_out.data, chosen.data, d_in.data});
}

template <class T>
void upsample_concat(const Exec& exec, FeatureView<const T> low, FeatureView<const T> skip, FeatureView<T> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(halves(low, out) && skip.n == out.n && skip.h == out.h && skip.w == out.w, "low ", low, ", out ", out);
  BASIN_CHECK(low.c + skip.c == out.c, "low ", low, ", skip ", skip, ", out ", out);
  if (low.c % out.block == 0 && skip.block == out.block)
    for_each_row(exec, shape.rows(), shape.row_size(), UpsampleGroups<T>{shape, low, skip, out.data});
  else
    for_each_feature(exec, shape, UpsampleConcat<T>{shape, low, skip, out.data});
}

template <class T>
void upsample_concat_backward(const Exec& exec, FeatureView<const T> d_out, FeatureView<T> d_low,
                              FeatureView<T> d_skip) {
  const FeatureShape low(d_low), skip(d_skip);
  BASIN_CHECK(halves(d_low, d_out) && d_low.c + d_skip.c == d_out.c && d_skip.h == d_out.h && d_skip.w == d_out.w,
              "d_out ", d_out, ", d_low ", d_low, ", d_skip ", d_skip);
  for_each_feature(exec, low, LowGradient<T>{low, d_out, d_low.data});
  if (d_low.c % d_out.block == 0 && d_skip.block == d_out.block)
    for_each_row(exec, skip.rows(), skip.row_size(), CopyRows<T>{skip, d_low.groups(), d_out, d_skip.data});
  else
    for_each_feature(exec, skip, SkipGradient<T>{skip, d_low.c, d_out, d_skip.data});
}

template <class T>
void change_layout(const Exec& exec, FeatureView<const T> from, FeatureView<T> to) {
  BASIN_CHECK(from.n == to.n && from.c == to.c && from.h == to.h && from.w == to.w, "from ", from, ", to ", to);
  const FeatureShape shape(to);
  for_each_feature(exec, shape, ChangeLayout<T>{shape, from, to.data});
}

template <class T>
void add_to(const Exec& exec, FeatureView<const T> from, FeatureView<T> to) {
  BASIN_CHECK(FeatureShape(to).same(from), "from ", from, ", to ", to);
  for_each(exec, to.size(), AddTo<T>{from.data, to.data});
}

#define BASIN_INSTANTIATE(T)                                                                                        \
  template void max_pool<T>(const Exec&, FeatureView<const T>, FeatureView<T>, FeatureView<uint8_t>);               \
  template void max_pool_backward<T>(const Exec&, FeatureView<const T>, FeatureView<const uint8_t>, FeatureView<T>, \
                                     bool);                                                                         \
  template void upsample_concat<T>(const Exec&, FeatureView<const T>, FeatureView<const T>, FeatureView<T>);        \
  template void upsample_concat_backward<T>(const Exec&, FeatureView<const T>, FeatureView<T>, FeatureView<T>);     \
  template void change_layout<T>(const Exec&, FeatureView<const T>, FeatureView<T>);                                \
  template void add_to<T>(const Exec&, FeatureView<const T>, FeatureView<T>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
#undef BASIN_INSTANTIATE

}  // namespace basin::kernels

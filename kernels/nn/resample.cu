#include "kernels/nn/resample.h"

#include "kernels/runtime/bfloat16.h"
#include "kernels/runtime/feature_loops.h"

namespace basin::kernels {
namespace {

/// The first of the four pixels of the 2x2 window of an element of the half-sized maps.
BASIN_HD int64_t window(const FeatureShape& half, int64_t row, int x, int lane) {
  return (row * 4 * half.w + int64_t(x) * 2) * half.block + lane;
}
BASIN_HD int64_t window(const FeatureShape& half, const FeatureAt& at) { return window(half, at.row, at.x, at.lane); }

/// The largest of the four pixels of a window whose first element is in[0], and which one it is.
template <class T>
BASIN_HD void largest(const T* in, int64_t right, int64_t down, T& best, int& which) {
  best = in[0];
  which = 0;
  const int64_t at_pixel[3] = {right, down, down + right};
  for (int k = 0; k < 3; ++k) {
    const T v = in[at_pixel[k]];
    const bool wins = v > best || v != v;
    best = wins ? v : best;
    which = wins ? k + 1 : which;
  }
}

template <bool Add, class X, class T = Arithmetic<X>>
BASIN_HD void spread(T d, int which, int64_t right, int64_t down, X* d_in) {
  const int64_t at_pixel[4] = {0, right, down, down + right};
  for (int k = 0; k < 4; ++k) {
    const T v = which == k ? d : T(0);
    d_in[at_pixel[k]] = Add ? T(d_in[at_pixel[k]]) + v : v;
  }
}

template <class T>
struct MaxPool {
  FeatureShape half;
  const T* in;
  T* out;
  uint8_t* chosen;

  BASIN_HD void operator()(const FeatureAt& at) const {
    int which;
    largest(in + window(half, at), half.block, int64_t(half.w) * 2 * half.block, out[at.offset], which);
    if (chosen) chosen[at.offset] = uint8_t(which);
  }
};

template <class T, bool Add>
struct MaxPoolBackward {
  FeatureShape half;
  const T* d_out;
  const uint8_t* chosen;
  T* d_in;

  BASIN_HD void operator()(const FeatureAt& at) const {
    spread<Add>(Arithmetic<T>(d_out[at.offset]), chosen[at.offset], half.block, int64_t(half.w) * 2 * half.block,
                d_in + window(half, at));
  }
};

/// The same for a row of pixels with this many lanes, for the CPU. A separate loop writes the bytes, because a loop
/// over both would be vectorised for the width of a byte.
template <class T, int Lanes>
struct MaxPoolRow {
  FeatureShape half;
  const T* in;
  T* out;
  uint8_t* chosen;

  BASIN_HD void operator()(int64_t row) const {
    const int64_t down = int64_t(half.w) * 2 * Lanes;
    const T* from = in + window(half, row, 0, 0);
    T* to = out + row * half.row_size();
    for (int x = 0; x < half.w; ++x) {
      int which[Lanes];
#pragma omp simd
      for (int lane = 0; lane < Lanes; ++lane)
        largest(from + int64_t(x) * 2 * Lanes + lane, Lanes, down, to[int64_t(x) * Lanes + lane], which[lane]);
      if (!chosen) continue;
      uint8_t* bytes = chosen + row * half.row_size() + int64_t(x) * Lanes;
#pragma omp simd
      for (int lane = 0; lane < Lanes; ++lane)
        bytes[lane] = uint8_t(which[lane]);
    }
  }
};

template <class T, bool Add, int Lanes>
struct MaxPoolBackwardRow {
  FeatureShape half;
  const T* d_out;
  const uint8_t* chosen;
  T* d_in;

  BASIN_HD void operator()(int64_t row) const {
    const int64_t down = int64_t(half.w) * 2 * Lanes;
    T* to = d_in + window(half, row, 0, 0);
    for (int x = 0; x < half.w; ++x) {
      const int64_t at = row * half.row_size() + int64_t(x) * Lanes;
      int which[Lanes];
#pragma omp simd
      for (int lane = 0; lane < Lanes; ++lane)
        which[lane] = chosen[at + lane];
#pragma omp simd
      for (int lane = 0; lane < Lanes; ++lane)
        spread<Add>(Arithmetic<T>(d_out[at + lane]), which[lane], Lanes, down, to + int64_t(x) * 2 * Lanes + lane);
    }
  }
};

/// Uses row functors for the CPU's blocked layouts, otherwise one per element.
template <class Row16, class Row8, class Element, class... A>
void by_rows(const Exec& exec, const FeatureShape& half, A... arguments) {
  if (exec.device == Device::cpu && half.block == 16)
    for_each(exec, half.rows(), Row16{half, arguments...}, 4);
  else if (exec.device == Device::cpu && half.block == 8)
    for_each(exec, half.rows(), Row8{half, arguments...}, 4);
  else
    for_each_feature(exec, half, Element{half, arguments...});
}

/// The offset in the whole low maps of an element of `part`, some groups of them.
BASIN_HD int64_t offset_in(const FeatureShape& part, const FeatureAt& at, int groups, int first_group) {
  return at.offset + (int64_t(at.n) * (groups - part.groups()) + first_group) * part.h * part.row_size();
}

template <class T>
struct Upsample {
  FeatureShape part;
  int groups, first_group;
  const T* low;
  T* out;

  BASIN_HD void operator()(const FeatureAt& at) const {
    const T v = low[offset_in(part, at, groups, first_group)];
    const int64_t right = part.block, down = int64_t(part.w) * 2 * part.block;
    T* to = out + window(part, at);
    to[0] = v, to[right] = v, to[down] = v, to[down + right] = v;
  }
};

template <class T>
struct UpsampleBackward {
  FeatureShape part;
  int groups, first_group;
  const T* d_out;
  T* d_low;

  BASIN_HD void operator()(const FeatureAt& at) const {
    const int64_t right = part.block, down = int64_t(part.w) * 2 * part.block;
    const T* from = d_out + window(part, at);
    d_low[offset_in(part, at, groups, first_group)] = (from[0] + from[right]) + (from[down] + from[down + right]);
  }
};

template <class From, class To>
struct ChangeLayout {
  FeatureShape shape;
  FeatureView<const From> from;
  To* to;

  BASIN_HD void operator()(const PixelAt& at) const {
    To value = To(0);
    if (at.channel < shape.c) {
      const int64_t plane = int64_t(at.n) * from.groups() + at.channel / from.block;
      value = To(from.data[(plane * from.pixels() + at.pixel) * from.block + at.channel % from.block]);
    }
    to[at.offset] = value;
  }
};

struct Add {
  template <class T>
  BASIN_HD void operator()(T& out, T to, T from) const {
    out = to + from;
  }
};

template <class A, class B>
bool halves(const FeatureView<A>& half, const FeatureView<B>& whole) {
  return half.n == whole.n && half.h * 2 == whole.h && half.w * 2 == whole.w && half.block == whole.block;
}

/// The channels of `low` from `first` on that are up-sampled to `whole`. They are whole groups; only the last group of
/// `low` may contain padding.
template <class A, class B>
FeatureShape part_of(const FeatureView<A>& low, int first, const FeatureView<B>& whole) {
  const int end = first + whole.c;
  BASIN_CHECK(halves(low, whole) && first >= 0 && first % low.block == 0 && end <= low.c &&
                  (end % low.block == 0 || end == low.c),
              "low ", low, ", first ", first, ", up-sampled ", whole);
  FeatureShape part(low);
  part.c = whole.c;
  return part;
}

}  // namespace

template <class T>
void max_pool(const Exec& exec, FeatureView<const T> in, FeatureView<T> out, FeatureView<uint8_t> chosen) {
  const FeatureShape half(out);
  BASIN_CHECK(halves(out, in) && in.c == out.c && (!chosen.data || half.same(chosen)), "in ", in, ", out ", out);
  by_rows<MaxPoolRow<T, 16>, MaxPoolRow<T, 8>, MaxPool<T>>(exec, half, in.data, out.data, chosen.data);
}

template <class T>
void max_pool_backward(const Exec& exec, FeatureView<const T> d_out, FeatureView<const uint8_t> chosen,
                       FeatureView<T> d_in, bool add) {
  const FeatureShape half(d_out);
  BASIN_CHECK(halves(d_out, d_in) && d_in.c == d_out.c && half.same(chosen), "d_in ", d_in, ", d_out ", d_out);
  if (add)
    by_rows<MaxPoolBackwardRow<T, true, 16>, MaxPoolBackwardRow<T, true, 8>, MaxPoolBackward<T, true>>(
        exec, half, d_out.data, chosen.data, d_in.data);
  else
    by_rows<MaxPoolBackwardRow<T, false, 16>, MaxPoolBackwardRow<T, false, 8>, MaxPoolBackward<T, false>>(
        exec, half, d_out.data, chosen.data, d_in.data);
}

template <class T>
void upsample(const Exec& exec, FeatureView<const T> low, int first, FeatureView<T> out) {
  const FeatureShape part = part_of(low, first, out);
  for_each_feature(exec, part, Upsample<T>{part, low.groups(), first / low.block, low.data, out.data});
}

template <class T>
void upsample_backward(const Exec& exec, FeatureView<const T> d_out, int first, FeatureView<T> d_low) {
  const FeatureShape part = part_of(d_low, first, d_out);
  for_each_feature(exec, part, UpsampleBackward<T>{part, d_low.groups(), first / d_low.block, d_out.data, d_low.data});
}

template <class From, class To>
void change_layout(const Exec& exec, FeatureView<const From> from, FeatureView<To> to) {
  BASIN_CHECK(from.n == to.n && from.c == to.c && from.h == to.h && from.w == to.w, "from ", from, ", to ", to);
  const FeatureShape shape(to);
  for_each_feature(exec, shape, ChangeLayout<From, To>{shape, from, to.data});
}

template <class T>
void add_to(const Exec& exec, FeatureView<const T> from, FeatureView<T> to) {
  BASIN_CHECK(FeatureShape(to).same(from), "from ", from, ", to ", to);
  map_elements<T>(exec, to.size(), {to.data, from.data}, {to.data}, Add());
}

#define BASIN_INSTANTIATE(T)                                                                                        \
  template void max_pool<T>(const Exec&, FeatureView<const T>, FeatureView<T>, FeatureView<uint8_t>);               \
  template void max_pool_backward<T>(const Exec&, FeatureView<const T>, FeatureView<const uint8_t>, FeatureView<T>, \
                                     bool);                                                                         \
  template void upsample<T>(const Exec&, FeatureView<const T>, int, FeatureView<T>);                                \
  template void upsample_backward<T>(const Exec&, FeatureView<const T>, int, FeatureView<T>);                       \
  template void change_layout<T, T>(const Exec&, FeatureView<const T>, FeatureView<T>);                             \
  template void add_to<T>(const Exec&, FeatureView<const T>, FeatureView<T>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE
template void change_layout<float, bfloat16>(const Exec&, FeatureView<const float>, FeatureView<bfloat16>);

}  // namespace basin::kernels

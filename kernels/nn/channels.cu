#include "kernels/nn/channels.h"

#include "kernels/runtime/elementary.h"
#include "kernels/runtime/feature_loops.h"
#include "kernels/runtime/philox.h"

namespace basin::kernels {
namespace {

/// Runs over the elements of `to`, which lie side by side in memory.
template <class X>
struct CopyChannels {
  FeatureShape shape;
  FeatureView<const X> from;
  int from_first, to_first, count;
  X* to;

  BASIN_HD void operator()(FeatureAt at) const {
    const int c = at.channel - to_first;
    if (c < 0 || c >= count) return;
    const int64_t plane = quotient(at.row, shape.h), n = quotient(plane, shape.groups());
    to[at.offset] = from(int(n), from_first + c, int(at.row - plane * shape.h), at.x);
  }
};

/// Runs over the rows of the copied channels, so that the channel is not computed for each element.
template <class X>
struct CopyRows {
  FeatureView<const X> from;
  FeatureView<X> to;
  int from_first, to_first, count;

  BASIN_HD void operator()(int64_t row) const {
    const int64_t plane = quotient(row, to.h), n = quotient(plane, count);
    const int c = int(plane - n * count), y = int(row - plane * to.h);
    const X* source = &from(int(n), from_first + c, y, 0);
    X* target = &to(int(n), to_first + c, y, 0);
    const int source_step = from.block, target_step = to.block;
    for (int64_t x = 0; x < to.w; ++x)
      target[x * target_step] = source[x * source_step];
  }
};

/// For whole groups of one layout: copies row by row. `row` counts the rows of the copied groups.
template <class X>
struct CopyGroups {
  FeatureView<const X> from;
  FeatureView<X> to;
  int from_group, to_group, groups;

  BASIN_HD void operator()(int64_t row) const {
    const int64_t plane = row / to.h, y = row % to.h, n = plane / groups, g = plane % groups;
    const X* source = from.row((n * from.groups() + from_group + g) * to.h + y);
    X* target = to.row((n * to.groups() + to_group + g) * to.h + y);
    for (int i = 0; i < to.w * to.block; ++i)
      target[i] = source[i];
  }
};

template <class T>
struct ChannelDropoutMask {
  int channels, lanes;
  uint64_t seed;
  uint32_t layer;
  uint32_t threshold;  // dropped if the random word is below it
  T scale;
  const StepState* state;
  T* mask;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t n = i / lanes, c = i % lanes, index = n * channels + c;
    const Philox four(seed, uint64_t(index >> 2),
                      uint64_t(state->batch) << 16 ^ uint64_t(layer) << 8 ^ uint64_t(Purpose::dropout));
    mask[i] = c < channels && four.word[index & 3] >= threshold ? scale : T(0);
  }
};

template <class X, class T = Arithmetic<X>>
struct MultiplyChannels {
  FeatureShape shape;
  const X* x;
  const T* mask;
  X* out;

  BASIN_HD void operator()(FeatureAt at) const {
    out[at.offset] = T(x[at.offset]) * mask[int64_t(at.n) * shape.groups() * shape.block + at.channel];
  }
};

/// The vector of pixel i of the rows (n, y): calls f(element, value) for each lane of each group.
template <class X>
struct PixelVector {
  FeatureView<const X> x;
  int64_t begin, group_size;

  BASIN_HD PixelVector(const FeatureView<const X>& maps, int64_t row, int64_t i)
      : x(maps), group_size(int64_t(maps.h) * maps.w * maps.block) {
    const int64_t n = quotient(row, maps.h), y = row - n * maps.h;
    begin = n * maps.groups() * group_size + (y * maps.w + i) * maps.block;
  }
  template <class F>
  BASIN_HD void for_each(const F& f) const {
    for (int g = 0; g < x.groups(); ++g)
      for (int lane = 0; lane < x.block; ++lane) {
        const int64_t at = begin + g * group_size + lane;
        f(at, Arithmetic<X>(x.data[at]));
      }
  }
  BASIN_HD double square() const {
    double sum = 0;
    for_each([&](int64_t, double v) { sum += v * v; });
    return sum;
  }
};

template <class X, class T = Arithmetic<X>>
struct NormalisePixels {
  FeatureView<const X> x;
  T epsilon;
  X* out;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const PixelVector<X> pixel(x, row, i);
    const T scale = T(UnitVector<double>(pixel.square(), double(epsilon)).inverse);
    pixel.for_each([&](int64_t at, T v) { out[at] = v * scale; });
  }
};

template <class X, class T = Arithmetic<X>>
struct NormalisePixelsBackward {
  FeatureView<const X> x;
  T epsilon;
  const X* d_out;
  X* d_x;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const PixelVector<X> pixel(x, row, i);
    const UnitVector<double> unit(pixel.square(), double(epsilon));
    double along = 0;
    if (!unit.is_short) {
      pixel.for_each([&](int64_t at, double v) { along += v * double(T(d_out[at])); });
      along *= unit.inverse * unit.inverse;
    }
    pixel.for_each(
        [&](int64_t at, double v) { d_x[at] = T(unit_vector_backward(v, double(T(d_out[at])), along, unit.inverse)); });
  }
};

}  // namespace

template <class X>
void copy_channels(const Exec& exec, FeatureView<const X> from, int from_first, FeatureView<X> to, int to_first,
                   int count) {
  BASIN_CHECK(from.n == to.n && from.h == to.h && from.w == to.w && from_first >= 0 && to_first >= 0 && count >= 0 &&
                  from_first + count <= from.c && to_first + count <= to.c,
              "channels ", from_first, " to ", from_first + count, " of ", from, " for those from ", to_first, " of ",
              to);
  const int block = to.block;
  if (from.block == block && from_first % block == 0 && to_first % block == 0 && count % block == 0) {
    const int groups = count / block;
    const CopyGroups<X> copy{from, to, from_first / block, to_first / block, groups};
    return for_each(exec, int64_t(to.n) * groups * to.h, copy, 4);
  }
  if (exec.device == Device::cpu)
    return for_each_row_on_cpu(int64_t(to.n) * count * to.h, CopyRows<X>{from, to, from_first, to_first, count});
  const FeatureShape shape(to);
  for_each_feature(exec, shape, CopyChannels<X>{shape, from, from_first, to_first, count, to.data});
}

template <class T>
void channel_dropout_mask(const Exec& exec, int samples, int channels, int block, double p, uint64_t seed,
                          uint32_t layer, const StepState* state, T* mask) {
  BASIN_CHECK(p >= 0 && p < 1 && layer < 256 && block > 0, "p = ", p, ", layer ", layer, ", block ", block);
  const int lanes = (channels + block - 1) / block * block;
  for_each(
      exec, int64_t(samples) * lanes,
      ChannelDropoutMask<T>{channels, lanes, seed, layer, uint32_t(p * 4294967296.0), T(1 / (1 - p)), state, mask});
}

template <class X>
void multiply_channels(const Exec& exec, FeatureView<const X> x, const Arithmetic<X>* mask, FeatureView<X> out) {
  const FeatureShape shape(out);
  BASIN_CHECK(shape.same(x), "x ", x, ", out ", out);
  for_each_feature(exec, shape, MultiplyChannels<X>{shape, x.data, mask, out.data});
}

template <class X>
void normalise_pixels(const Exec& exec, FeatureView<const X> x, Arithmetic<X> epsilon, FeatureView<X> out) {
  BASIN_CHECK(FeatureShape(out).same(x) && epsilon > 0, "x ", x, ", out ", out, ", epsilon ", epsilon);
  for_each_row(exec, int64_t(x.n) * x.h, x.w, NormalisePixels<X>{x, epsilon, out.data});
}

template <class X>
void normalise_pixels_backward(const Exec& exec, FeatureView<const X> x, Arithmetic<X> epsilon,
                               FeatureView<const X> d_out, FeatureView<X> d_x) {
  const FeatureShape shape(x);
  BASIN_CHECK(shape.same(d_out) && shape.same(d_x) && epsilon > 0, "x ", x, ", d_out ", d_out, ", d_x ", d_x);
  for_each_row(exec, int64_t(x.n) * x.h, x.w, NormalisePixelsBackward<X>{x, epsilon, d_out.data, d_x.data});
}

#define BASIN_INSTANTIATE(X)                                                                                         \
  template void copy_channels<X>(const Exec&, FeatureView<const X>, int, FeatureView<X>, int, int);                  \
  template void multiply_channels<X>(const Exec&, FeatureView<const X>, const Arithmetic<X>*, FeatureView<X>);       \
  template void normalise_pixels<X>(const Exec&, FeatureView<const X>, Arithmetic<X>, FeatureView<X>);               \
  template void normalise_pixels_backward<X>(const Exec&, FeatureView<const X>, Arithmetic<X>, FeatureView<const X>, \
                                             FeatureView<X>);
BASIN_INSTANTIATE(float)
BASIN_INSTANTIATE(double)  // for the gradient checks
BASIN_INSTANTIATE(bfloat16)
#undef BASIN_INSTANTIATE
template void channel_dropout_mask<float>(const Exec&, int, int, int, double, uint64_t, uint32_t, const StepState*,
                                          float*);
template void channel_dropout_mask<double>(const Exec&, int, int, int, double, uint64_t, uint32_t, const StepState*,
                                           double*);

}  // namespace basin::kernels

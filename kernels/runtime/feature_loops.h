#pragma once
#include <type_traits>
#include <utility>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/tuned_sums.h"
#include "kernels/runtime/view.h"

// Loops over feature maps that are fast in every layout. Two feature maps of one shape and layout share their offsets.

namespace basin {

/// What a FeatureView has beside its data.
struct FeatureShape {
  int n, c, h, w, block;

  template <class T>
  explicit FeatureShape(const FeatureView<T>& v) : n(v.n), c(v.c), h(v.h), w(v.w), block(v.block) {}
  BASIN_HD int groups() const { return (c + block - 1) / block; }
  BASIN_HD int64_t rows() const { return int64_t(n) * groups() * h; }
  BASIN_HD int64_t row_size() const { return int64_t(w) * block; }
  BASIN_HD int group_of(int64_t row) const {
    const int64_t line = quotient(row, h), sample = quotient(line, groups());
    return int(line - sample * groups());
  }
  template <class T>
  bool same(const FeatureView<T>& v) const {
    return n == v.n && c == v.c && h == v.h && w == v.w && block == v.block;
  }
};

/// One element of feature maps.
struct FeatureAt {
  int64_t offset;  // from the start of the buffer, in elements
  int64_t row;     // (n * groups + group) * h + y
  int x, lane;
  int channel;  // group * block + lane; c or more in the padding lanes
};

// Loops hand an element's functor some numbers of its channel. `Numbers` is a struct of Views with their type, Value,
// their number, count, and operator()(k, channel) for the k-th: also for padding lanes, where zeros have to stay zeros.

/// K numbers per channel, in device memory: value[k * lanes + channel], 0 in the padding lanes.
template <class T, int K>
struct ChannelTable {
  using Value = T;
  static constexpr int count = K;
  const T* value = nullptr;
  int lanes = 0;

  BASIN_HD T operator()(int k, int channel) const { return value[int64_t(k) * lanes + channel]; }
};
/// The channels of maps of this shape with their padding lanes: the width of their ChannelTable.
inline int lanes_of(const FeatureShape& shape) { return shape.groups() * shape.block; }

namespace detail {

template <class Numbers>
using EachOf = std::make_integer_sequence<int, Numbers::count>;

/// The numbers of `Lanes` channels from `first` on. A local copy: no store through a functor's pointers can change it,
/// so that it stays in registers.
template <int Lanes, class Numbers>
struct LocalNumbers {
  typename Numbers::Value value[Numbers::count > 0 ? Numbers::count : 1][Lanes];

  BASIN_HD LocalNumbers(const Numbers& numbers, int first) {
    for (int k = 0; k < Numbers::count; ++k)
      for (int lane = 0; lane < Lanes; ++lane)
        value[k][lane] = numbers(k, first + lane);
  }
};

template <class Numbers, class F, int... k>
BASIN_HD auto call_with(const F& f, const FeatureAt& at, const Numbers& numbers, std::integer_sequence<int, k...>) {
  return f(at, numbers(k, at.channel)...);
}

/// One row of feature maps: pixels outside, lanes inside, so that a blocked layout is one vector operation per pixel.
/// Lanes = 0: any block. Lanes = 1: a row is one channel, and the vector runs along it.
template <int Lanes, class Numbers, class F>
struct FeatureRow {
  FeatureShape shape;
  Numbers numbers;
  F f;

  BASIN_HD void operator()(int64_t row) const { run(row, EachOf<Numbers>()); }

  template <int... k>
  BASIN_HD void run(int64_t row, std::integer_sequence<int, k...> all) const {
    const int lanes = Lanes > 0 ? Lanes : shape.block, width = shape.w;
    const int first = shape.group_of(row) * lanes;
    const int64_t begin = row * shape.row_size();
    const F g = f;
    if constexpr (Lanes == 0) {
      for (int x = 0; x < width; ++x)
        for (int lane = 0; lane < lanes; ++lane)
          call_with(g, FeatureAt{begin + int64_t(x) * lanes + lane, row, x, lane, first + lane}, numbers, all);
    } else {
      [[maybe_unused]] const LocalNumbers<Lanes, Numbers> number(numbers, first);
      if constexpr (Lanes == 1) {
#pragma omp simd
        for (int x = 0; x < width; ++x)
          g(FeatureAt{begin + x, row, x, 0, first}, number.value[k][0]...);
      } else {
        for (int x = 0; x < width; ++x) {
          const int64_t offset = begin + int64_t(x) * Lanes;
#pragma omp simd
          for (int lane = 0; lane < Lanes; ++lane)
            g(FeatureAt{offset + lane, row, x, lane, first + lane}, number.value[k][lane]...);
        }
      }
    }
  }
};

template <class Numbers, class F>
struct FeatureElement {
  FeatureShape shape;
  Numbers numbers;
  F f;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t row = quotient(i, shape.row_size()), within = i - row * shape.row_size();
    const int x = int(quotient(within, shape.block)), lane = int(within) - x * shape.block;
    const FeatureAt at{i, row, x, lane, shape.group_of(row) * shape.block + lane};
    call_with(f, at, numbers, EachOf<Numbers>());
  }
};

}  // namespace detail

/// Calls f(FeatureAt, the numbers of its channel...) once for each element of maps of this shape, padding lanes
/// included, in no order.
template <class Numbers, class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f) {
  if (exec.device != Device::cpu)
    return for_each(exec, shape.rows() * shape.row_size(), detail::FeatureElement<Numbers, F>{shape, numbers, f});
  const auto rows = [&](const auto& functor) { for_each(exec, shape.rows(), functor, 4); };
  if (shape.block == 16)
    rows(detail::FeatureRow<16, Numbers, F>{shape, numbers, f});
  else if (shape.block == 8)
    rows(detail::FeatureRow<8, Numbers, F>{shape, numbers, f});
  else if (shape.block == 1)
    rows(detail::FeatureRow<1, Numbers, F>{shape, numbers, f});
  else
    rows(detail::FeatureRow<0, Numbers, F>{shape, numbers, f});
}
/// The same without numbers per channel: f(FeatureAt).
template <class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const F& f) {
  for_each_feature(exec, shape, ChannelTable<float, 0>{}, f);
}

/// S numbers that are summed together. A functor fills them in place: g++ moves a returned pair of floats as one
/// integer and then does not vectorise the loop.
template <class T, int S>
struct Sums {
  T value[S];
};

namespace detail {

/// The sums of one row, one per lane: partial[(row * S + s) * block + lane]. Within a row in the element type, across
/// rows in double.
template <int Lanes, int S, class Numbers, class F>
struct RowSums {
  using T = typename Numbers::Value;
  FeatureShape shape;
  Numbers numbers;
  F f;
  double* partial;

  BASIN_HD void operator()(int64_t row) const { run(row, EachOf<Numbers>()); }

  template <int... k>
  BASIN_HD void run(int64_t row, std::integer_sequence<int, k...>) const {
    const int block = Lanes > 0 ? Lanes : shape.block, width = shape.w;
    constexpr int step = Lanes > 0 ? Lanes : 1;
    const F g = f;
    for (int lane0 = 0; lane0 < block; lane0 += step) {
      T sum[S][step] = {};
      const int first = shape.group_of(row) * block + lane0;
      [[maybe_unused]] const LocalNumbers<step, Numbers> number(numbers, first);
      for (int x = 0; x < width; ++x) {
        const int64_t offset = row * shape.row_size() + int64_t(x) * block + lane0;
        T part[S][step];
#pragma omp simd
        for (int lane = 0; lane < step; ++lane) {
          Sums<T, S> v;
          g(v, FeatureAt{offset + lane, row, x, lane0 + lane, first + lane}, number.value[k][lane]...);
          for (int s = 0; s < S; ++s)
            part[s][lane] = v.value[s];
        }
        for (int s = 0; s < S; ++s) {
#pragma omp simd
          for (int lane = 0; lane < step; ++lane)
            sum[s][lane] += part[s][lane];
        }
      }
      for (int s = 0; s < S; ++s)
        for (int lane = 0; lane < step; ++lane)
          partial[(row * S + s) * block + lane0 + lane] = double(sum[s][lane]);
    }
  }
};

template <int S>
struct ChannelTotals {
  FeatureShape shape;
  const double* partial;
  double* total;  // [S][c]

  BASIN_HD void operator()(int64_t i) const {
    const int channel = int(i % shape.c), s = int(i / shape.c);
    const int group = channel / shape.block, lane = channel % shape.block;
    double sum = 0;
    for (int n = 0; n < shape.n; ++n)
      for (int y = 0; y < shape.h; ++y) {
        const int64_t row = (int64_t(n) * shape.groups() + group) * shape.h + y;
        sum += partial[(row * S + s) * shape.block + lane];
      }
    total[i] = sum;
  }
};

#ifdef __CUDACC__
/// A channel's pixels as a column, of maps in nchw or nhwc: pixel p of all samples together.
template <int S, class Numbers, class F>
struct ChannelColumn {
  using T = typename Numbers::Value;
  using Sum = T;
  FeatureShape shape;
  Numbers numbers;
  F f;

  __device__ void add(int channel, int64_t begin, int64_t end, int step, T (&own)[S]) const {
    run(channel, int(begin), int(end), step, own, EachOf<Numbers>());
  }
  template <int... k>
  __device__ void run(int channel, int begin, int end, int step, T (&own)[S], std::integer_sequence<int, k...>) const {
    [[maybe_unused]] const LocalNumbers<1, Numbers> number(numbers, channel);
    const int groups = shape.groups(), group = channel / shape.block, lane = channel % shape.block;
    for (int p = begin; p < end; p += step) {
      const int x = p % shape.w, line = p / shape.w, y = line % shape.h, n = line / shape.h;
      const int64_t row = (int64_t(n) * groups + group) * shape.h + y;
      Sums<T, S> v;
      f(v, FeatureAt{(row * shape.w + x) * shape.block + lane, row, x, lane, channel}, number.value[k][0]...);
      for (int s = 0; s < S; ++s)
        own[s] += v.value[s];
    }
  }
};
#endif

}  // namespace detail

/// total[s * c + channel] = sum over samples and pixels of the s-th number that f(Sums<T, S>&, FeatureAt, the numbers
/// of its channel...) gives; then finish(channel) once for each channel, padding lanes included. Sums are added up in
/// Numbers::Value, rows and chunks of pixels in double. Same bits at any thread count, and on a GPU from run to run.
/// `total` holds S * c numbers in device memory.
template <int S, class Numbers, class F, class Finish = NoFinish>
void sum_channels(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f, double* total,
                  const Finish& finish = {}) {
#ifdef __CUDACC__
  const int64_t pixels = int64_t(shape.n) * shape.h * shape.w;
  if (exec.device == Device::cuda && exec.variant != Variant::plain && pixels > 0 &&
      pixels <= INT32_MAX - tuned::sum_threads && lanes_of(shape) == shape.c)
    return tuned::sum_columns<S>(exec, detail::ChannelColumn<S, Numbers, F>{shape, numbers, f}, pixels, shape.c,
                                 shape.block == 1 ? 1 : 32, total, finish);
#endif
  const Temp<double> partial(exec, shape.rows() * S * shape.block);
  const auto rows = [&](const auto& functor) { for_each(exec, shape.rows(), functor, 4); };
  if (shape.block == 16)
    rows(detail::RowSums<16, S, Numbers, F>{shape, numbers, f, partial.data()});
  else if (shape.block == 8)
    rows(detail::RowSums<8, S, Numbers, F>{shape, numbers, f, partial.data()});
  else
    rows(detail::RowSums<0, S, Numbers, F>{shape, numbers, f, partial.data()});
  for_each(exec, int64_t(S) * shape.c, detail::ChannelTotals<S>{shape, partial.data(), total}, 16);
  if constexpr (!std::is_same_v<Finish, NoFinish>) for_each(exec, lanes_of(shape), finish);
}
/// The same without numbers per channel: f(Sums<T, S>&, FeatureAt).
template <int S, class T, class F>
void sum_channels(const Exec& exec, const FeatureShape& shape, const F& f, double* total) {
  sum_channels<S>(exec, shape, ChannelTable<T, 0>{}, f, total);
}

}  // namespace basin

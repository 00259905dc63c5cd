#pragma once
#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/view.h"

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
  BASIN_HD int group_of(int64_t row) const { return int(row / h % groups()); }
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

namespace detail {

/// One row of feature maps: pixels outside, lanes inside, so that a blocked layout is one vector operation per pixel.
/// Lanes = 0: any block. Lanes = 1: a row is one channel, and the vector runs along it.
template <int Lanes, class F>
struct FeatureRow {
  FeatureShape shape;
  F f;

  BASIN_HD void operator()(int64_t row) const {
    const int lanes = Lanes > 0 ? Lanes : shape.block;
    const int first = shape.group_of(row) * lanes;
    const int64_t begin = row * shape.row_size();
    if constexpr (Lanes == 1) {
#pragma omp simd
      for (int x = 0; x < shape.w; ++x)
        f(FeatureAt{begin + x, row, x, 0, first});
    } else {
      for (int x = 0; x < shape.w; ++x) {
        const int64_t offset = begin + int64_t(x) * lanes;
#pragma omp simd
        for (int lane = 0; lane < lanes; ++lane)
          f(FeatureAt{offset + lane, row, x, lane, first + lane});
      }
    }
  }
};

template <class F>
struct FeatureElement {
  FeatureShape shape;
  F f;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t row = i / shape.row_size();
    const int lane = int(i % shape.block);
    f(FeatureAt{i, row, int(i % shape.row_size() / shape.block), lane, shape.group_of(row) * shape.block + lane});
  }
};

}  // namespace detail

/// Calls f(FeatureAt) once for each element of maps of this shape, padding lanes included, in no order.
template <class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const F& f) {
  if (exec.device != Device::cpu)
    return for_each(exec, shape.rows() * shape.row_size(), detail::FeatureElement<F>{shape, f});
  const auto rows = [&](const auto& functor) { for_each(exec, shape.rows(), functor, 4); };
  if (shape.block == 16)
    rows(detail::FeatureRow<16, F>{shape, f});
  else if (shape.block == 8)
    rows(detail::FeatureRow<8, F>{shape, f});
  else if (shape.block == 1)
    rows(detail::FeatureRow<1, F>{shape, f});
  else
    rows(detail::FeatureRow<0, F>{shape, f});
}

/// K numbers that are summed together.
template <class T, int K>
struct Sums {
  T value[K];
};

namespace detail {

/// The sums of one row, one per lane: partial[(row * K + k) * block + lane]. Within a row in the element type, across
/// rows in double.
template <int Lanes, int K, class T, class F>
struct RowSums {
  FeatureShape shape;
  F f;
  double* partial;

  BASIN_HD void operator()(int64_t row) const {
    const int block = Lanes > 0 ? Lanes : shape.block;
    constexpr int step = Lanes > 0 ? Lanes : 1;
    for (int lane0 = 0; lane0 < block; lane0 += step) {
      T sum[K][step] = {};
      const int first = shape.group_of(row) * block + lane0;
      for (int x = 0; x < shape.w; ++x) {
        const int64_t offset = row * shape.row_size() + int64_t(x) * block + lane0;
#pragma omp simd
        for (int lane = 0; lane < step; ++lane) {
          const Sums<T, K> v = f(FeatureAt{offset + lane, row, x, lane0 + lane, first + lane});
          for (int k = 0; k < K; ++k)
            sum[k][lane] += v.value[k];
        }
      }
      for (int k = 0; k < K; ++k)
        for (int lane = 0; lane < step; ++lane)
          partial[(row * K + k) * block + lane0 + lane] = double(sum[k][lane]);
    }
  }
};

template <int K>
struct ChannelTotals {
  FeatureShape shape;
  const double* partial;
  double* total;  // [K][c]

  BASIN_HD void operator()(int64_t i) const {
    const int channel = int(i % shape.c), k = int(i / shape.c);
    const int group = channel / shape.block, lane = channel % shape.block;
    double sum = 0;
    for (int n = 0; n < shape.n; ++n)
      for (int y = 0; y < shape.h; ++y) {
        const int64_t row = (int64_t(n) * shape.groups() + group) * shape.h + y;
        sum += partial[(row * K + k) * shape.block + lane];
      }
    total[i] = sum;
  }
};

}  // namespace detail

/// total[k * c + channel] = sum over samples and pixels of f(FeatureAt).value[k]. Same bits at any thread count.
/// `total` holds K * c numbers in device memory.
template <int K, class T, class F>
void sum_channels(const Exec& exec, const FeatureShape& shape, const F& f, double* total) {
  const Temp<double> partial(exec, shape.rows() * K * shape.block);
  const auto rows = [&](const auto& functor) { for_each(exec, shape.rows(), functor, 4); };
  if (shape.block == 16)
    rows(detail::RowSums<16, K, T, F>{shape, f, partial.data()});
  else if (shape.block == 8)
    rows(detail::RowSums<8, K, T, F>{shape, f, partial.data()});
  else
    rows(detail::RowSums<0, K, T, F>{shape, f, partial.data()});
  for_each(exec, int64_t(K) * shape.c, detail::ChannelTotals<K>{shape, partial.data(), total}, 16);
}

}  // namespace basin

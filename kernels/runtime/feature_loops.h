#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>

#include "kernels/runtime/feature_shape.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/tuned_features.h"
#include "kernels/runtime/tuned_sums.h"
#include "kernels/runtime/view.h"

// Loops over feature maps that are fast in every layout and on every device. The CPU goes row by row; the GPU loops are
// in tuned_features.h and tuned_sums.h.

namespace basin {

/// Calls f(row) for all rows on the CPU's threads; each thread takes several rows at a time. Unlike for_each(), this
/// does not compile a CUDA kernel for a functor that never runs on a GPU.
template <class F>
void for_each_row_on_cpu(int64_t rows, const F& f) {
  constexpr int64_t chunk = 4;
#pragma omp parallel for schedule(static) if (rows > 4 * chunk)
  for (int64_t begin = 0; begin < rows; begin += chunk)
    detail::in_order(begin, std::min(begin + chunk, rows), f);
}

namespace detail {

/// Double precision is used only by gradient checks, so its loops are compiled only once, for blocks of any size. This
/// gives the same bits.
template <class Numbers>
constexpr bool is_for_gradient_checks = std::is_same_v<typename Numbers::Value, double>;

/// The position of a row: its sample, its group of channels, and its first pixel.
struct RowPlace {
  int n, group, pixel;

  BASIN_HD RowPlace(const FeatureShape& shape, int64_t row) {
    const int64_t line = quotient(row, shape.h), sample = quotient(line, shape.groups());
    n = int(sample);
    group = int(line - sample * shape.groups());
    pixel = int((row - line * shape.h) * shape.w);
  }
};

/// One row of feature maps: the outer loop runs over pixels, the inner one over lanes, so that a blocked layout takes
/// one vector operation per pixel. Lanes = 0: any block size. Lanes = 1: a row belongs to one channel, and the vector
/// runs along it.
template <int Lanes, class Numbers, class F>
struct FeatureRow {
  FeatureShape shape;
  Numbers numbers;
  F f;

  BASIN_HD void operator()(int64_t row) const { run(row, EachOf<Numbers>()); }

  template <int... k>
  BASIN_HD void run(int64_t row, std::integer_sequence<int, k...> all) const {
    const int lanes = Lanes > 0 ? Lanes : shape.block, width = shape.w;
    const RowPlace at(shape, row);
    const int n = at.n, pixel = at.pixel, first = at.group * lanes;
    const int64_t begin = row * shape.row_size();
    const F g = f;
    if constexpr (Lanes == 0) {
      for (int x = 0; x < width; ++x)
        for (int lane = 0; lane < lanes; ++lane)
          call_with(g, FeatureAt{{begin + int64_t(x) * lanes + lane, n, pixel + x, lane, first + lane}, row, x},
                    numbers, all);
    } else {
      [[maybe_unused]] const LocalNumbers<Lanes, Numbers> number(numbers, first);
      if constexpr (Lanes == 1) {
#pragma omp simd
        for (int x = 0; x < width; ++x)
          g(FeatureAt{{begin + x, n, pixel + x, 0, first}, row, x}, number.value[k][0]...);
      } else {
        for (int x = 0; x < width; ++x) {
          const int64_t offset = begin + int64_t(x) * Lanes;
#pragma omp simd
          for (int lane = 0; lane < Lanes; ++lane)
            g(FeatureAt{{offset + lane, n, pixel + x, lane, first + lane}, row, x}, number.value[k][lane]...);
        }
      }
    }
  }
};

/// An element-wise function of plain arrays.
template <class Map>
struct FlatElement {
  Map map;

  BASIN_HD void operator()(int64_t i) const { map(PixelAt{i, 0, 0, 0, 0}); }
};

template <class X, int I, int O, class F>
MapElement<X, I, O, F> map_of(const X* const (&in)[I], X* const (&out)[O], const F& f) {
  MapElement<X, I, O, F> map{{}, {}, f};
  std::copy(in, in + I, map.in);
  std::copy(out, out + O, map.out);
  return map;
}

}  // namespace detail

/// Calls f(FeatureAt, the numbers of its channel...) once for each element of maps of this shape, padding lanes
/// included, in any order.
template <class Numbers, class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f) {
  if (exec.device != Device::cpu) {
#ifdef __CUDACC__
    return tuned::for_each_feature(exec, shape, numbers, f);
#else
    BASIN_CHECK(false, "this build has no CUDA");
#endif
  }
  const auto rows = [&](const auto& functor) { for_each_row_on_cpu(shape.rows(), functor); };
  if constexpr (detail::is_for_gradient_checks<Numbers>)
    rows(detail::FeatureRow<0, Numbers, F>{shape, numbers, f});
  else if (shape.block == 16)
    rows(detail::FeatureRow<16, Numbers, F>{shape, numbers, f});
  else if (shape.block == 8)
    rows(detail::FeatureRow<8, Numbers, F>{shape, numbers, f});
  else if (shape.block == 1)
    rows(detail::FeatureRow<1, Numbers, F>{shape, numbers, f});
  else
    rows(detail::FeatureRow<0, Numbers, F>{shape, numbers, f});
}
/// The same without per-channel numbers: f(FeatureAt).
template <class F>
void for_each_feature(const Exec& exec, const FeatureShape& shape, const F& f) {
  for_each_feature(exec, shape, ChannelTable<float, 0>{}, f);
}

/// Calls f(out..., in..., the numbers of its channel...) once for each element of maps of this shape, in any order. The
/// elements of `in` are read; those of `out`, which f takes by reference, are written at the same position. `in` and
/// `out` may be the same maps.
template <class X, int I, int O, class Numbers, class F>
void map_features(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const X* const (&in)[I],
                  X* const (&out)[O], const F& f) {
  for_each_feature(exec, shape, numbers, detail::map_of(in, out, f));
}

/// The same for plain arrays of n elements: f(out..., in...).
template <class X, int I, int O, class F>
void map_elements(const Exec& exec, int64_t n, const X* const (&in)[I], X* const (&out)[O], const F& f) {
  const auto map = detail::map_of(in, out, f);
#ifdef __CUDACC__
  if constexpr (has_vectors<decltype(map)>)
    if (exec.device == Device::cuda && map.is_aligned()) return tuned::for_each_pack(exec, n, map);
#endif
  for_each(exec, n, detail::FlatElement<decltype(map)>{map});
}

namespace detail {

/// The sums of one row, one per lane: partial[(row * S + s) * block + lane]. Summed in the element type within a row,
/// in double across rows.
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
    const RowPlace at(shape, row);
    const int n = at.n, pixel = at.pixel;
    const F g = f;
    for (int lane0 = 0; lane0 < block; lane0 += step) {
      T sum[S][step] = {};
      const int first = at.group * block + lane0;
      [[maybe_unused]] const LocalNumbers<step, Numbers> number(numbers, first);
      for (int x = 0; x < width; ++x) {
        const int64_t offset = row * shape.row_size() + int64_t(x) * block + lane0;
        T part[S][step];
#pragma omp simd
        for (int lane = 0; lane < step; ++lane) {
          Sums<T, S> v;
          g(v, PixelAt{offset + lane, n, pixel + x, lane0 + lane, first + lane}, number.value[k][lane]...);
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

}  // namespace detail

/// total[s * c + channel] = the sum over samples and pixels of the s-th number that f(Sums<T, S>&, PixelAt, the numbers
/// of its channel...) gives; then calls finish(channel) once for each channel, padding lanes included. Short runs are
/// summed in Numbers::Value; rows and chunks of pixels in double. Same bits at any thread count, and on a GPU from run
/// to run. `total` holds S * c numbers in device memory.
template <int S, class Numbers, class F, class Finish = NoFinish>
void sum_channels(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f, double* total,
                  const Finish& finish = {}) {
#ifdef __CUDACC__
  if (exec.device == Device::cuda && exec.variant != Variant::plain && shape.n * shape.pixels() > 0 &&
      shape.pixels() <= 1 << 30 && shape.c <= 65535 && (shape.block == 1 || shape.block == shape.c))
    return tuned::sum_features<S>(exec, shape, numbers, f, total, finish);
#endif
  const Temp<double> partial(exec, shape.rows() * S * shape.block);
  const auto rows = [&](const auto& functor) { for_each(exec, shape.rows(), functor, 4); };
  if constexpr (detail::is_for_gradient_checks<Numbers>)
    rows(detail::RowSums<0, S, Numbers, F>{shape, numbers, f, partial.data()});
  else if (shape.block == 16)
    rows(detail::RowSums<16, S, Numbers, F>{shape, numbers, f, partial.data()});
  else if (shape.block == 8)
    rows(detail::RowSums<8, S, Numbers, F>{shape, numbers, f, partial.data()});
  else
    rows(detail::RowSums<0, S, Numbers, F>{shape, numbers, f, partial.data()});
  for_each(exec, int64_t(S) * shape.c, detail::ChannelTotals<S>{shape, partial.data(), total}, 16);
  if constexpr (!std::is_same_v<Finish, NoFinish>) for_each(exec, lanes_of(shape), finish);
}
/// The same for sums over the elements of `in`: f(Sums<T, S>&, in..., the numbers of its channel...).
template <int S, class X, int I, class Numbers, class F, class Finish = NoFinish>
void sum_channels(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const X* const (&in)[I],
                  const F& f, double* total, const Finish& finish = {}) {
  detail::SumElement<X, I, F> element{{}, f};
  std::copy(in, in + I, element.in);
  sum_channels<S>(exec, shape, numbers, element, total, finish);
}

}  // namespace basin

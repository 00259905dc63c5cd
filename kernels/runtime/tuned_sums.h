#pragma once
#include <algorithm>
#include <utility>

#include "kernels/runtime/feature_shape.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/scratch.h"

// Sums over many elements on a GPU: each thread adds up its elements of a chunk, shuffles add up the threads of a warp,
// then the warps of a block are added, and one more block adds up the chunks. Neighbouring threads read neighbouring
// elements. The order depends only on the sizes and the alignment: the same bits from run to run, but not the same as
// those of the plain kernels.

namespace basin {

/// The default of sum_channels(): does nothing with the sums of a channel.
struct NoFinish {
  BASIN_HD void operator()(int64_t) const {}
};

}  // namespace basin

#ifdef __CUDACC__
namespace basin::tuned {

constexpr int sum_threads = 256;
constexpr int sum_warps = sum_threads / 32;
constexpr int max_chunks = 512;

/// For threads of a warp with the same index modulo `across` (a power of two up to 32): the sum of their `value`s.
/// Every such thread receives it.
inline __device__ double sum_of_warp(double value, int across) {
  for (int by = 16; by >= across; by /= 2)
    value += __shfl_xor_sync(~0u, value, by);
  return value;
}

/// For each remainder x of the thread index modulo `across`: the sums of `own` over the threads of the block with that
/// remainder, in the order of its warps. Calls put(k, x, sum) once for each k < K and each x. `Shared` holds K * across
/// * sum_warps numbers.
template <int K, class Shared, class Put>
__device__ void sum_of_block(const double (&own)[K], int across, Shared& shared, const Put& put) {
  const int thread = int(threadIdx.y * blockDim.x + threadIdx.x), lane = thread % 32, warp = thread / 32;
  for (int k = 0; k < K; ++k) {
    const double sum = sum_of_warp(own[k], across);
    if (lane < across) shared[(k * across + lane) * sum_warps + warp] = sum;
  }
  __syncthreads();
  for (int i = thread; i < K * across; i += sum_threads) {
    double sum = 0;
    for (int w = 0; w < sum_warps; ++w)
      sum += shared[i * sum_warps + w];
    put(i / across, i % across, sum);
  }
}

/// partial[s * gridDim.x + block] = the sums of one chunk of `size` elements.
template <int S, class F>
__global__ void sum_chunks_kernel(F term, int64_t n, int64_t size, double* partial) {
  BASIN_SHARED(double, shared, S* sum_warps);
  const int64_t begin = int64_t(blockIdx.x) * size, end = begin + size < n ? begin + size : n;
  double own[S] = {};
  for (int64_t i = begin + threadIdx.x; i < end; i += sum_threads) {
    double t[S];
    term(i, t);
    for (int s = 0; s < S; ++s)
      own[s] += t[s];
  }
  sum_of_block<S>(own, 1, shared, [&](int s, int, double sum) { partial[int64_t(s) * gridDim.x + blockIdx.x] = sum; });
}

/// A block of threads sums `size` pixels of each sample in turn: of one channel in nchw (Lanes = 1, threads side by
/// side along the pixels), or of neighbouring channels in nhwc (blockDim.x threads side by side with `Lanes` channels
/// each). `Packs`: f adds up pack_size pixels, or lanes, at once.
template <int S, bool Packs, int Lanes, class Numbers, class F>
__global__ void sum_features_kernel(FeatureShape shape, int size, Numbers numbers, F f, double* partial) {
  using T = typename Numbers::Value;
  BASIN_SHARED(double, shared, S* sum_threads);
  constexpr int pixels_at_once = Packs && Lanes == 1 ? pack_size : 1;
  const int pixels = int(shape.pixels()), across = int(blockDim.x), step = int(blockDim.y) * pixels_at_once;
  const int first_channel = int(blockIdx.y) * across * Lanes, channel = first_channel + int(threadIdx.x) * Lanes;
  const int begin = int(blockIdx.x) * size, end = pixels - begin < size ? pixels : begin + size;
  T own[S][Lanes] = {};
  if (channel < shape.c) {
    const detail::LocalNumbers<Lanes, Numbers> number(numbers, channel);
    for (int n = int(blockIdx.z); n < shape.n; n += int(gridDim.z)) {
      const bool planes = shape.block == 1;
      const int64_t first =
          planes ? (int64_t(n) * shape.c + channel) * pixels : int64_t(n) * pixels * shape.c + channel;
      for (int pixel = begin + int(threadIdx.y) * pixels_at_once; pixel < end; pixel += step) {
        const int64_t offset = first + (planes ? pixel : int64_t(pixel) * shape.c);
        const PixelAt at{offset, n, pixel, planes ? 0 : channel, channel};
        if constexpr (Packs) {
          f.add_vectors(own, at, number);
        } else {
          Sums<T, S> part;
          [&]<int... k>(std::integer_sequence<int, k...>) { f(part, at, number.value[k][0]...); }
          (detail::EachOf<Numbers>());
          for (int s = 0; s < S; ++s)
            own[s][0] += part.value[s];
        }
      }
    }
  }
  double sums[S * Lanes];
  for (int s = 0; s < S; ++s)
    for (int lane = 0; lane < Lanes; ++lane)
      sums[s * Lanes + lane] = double(own[s][lane]);
  sum_of_block<S * Lanes>(sums, across, shared, [&](int k, int x, double sum) {
    const int to = first_channel + x * Lanes + k % Lanes, chunks = int(gridDim.x * gridDim.z);
    if (to < shape.c)
      partial[(int64_t(k / Lanes) * shape.c + to) * chunks + int(blockIdx.z * gridDim.x + blockIdx.x)] = sum;
  });
}

/// Adds up the `count` partial sums of column blockIdx.x, then calls finish(column).
template <int S, class Finish>
__global__ void sum_partial_kernel(const double* partial, int count, double* total, Finish finish) {
  BASIN_SHARED(double, shared, S* sum_warps);
  const int columns = int(gridDim.x), column = int(blockIdx.x);
  double own[S] = {};
  for (int s = 0; s < S; ++s)
    for (int i = int(threadIdx.x); i < count; i += sum_threads)
      own[s] += partial[(int64_t(s) * columns + column) * count + i];
  sum_of_block<S>(own, 1, shared, [&](int s, int, double sum) { total[s * columns + column] = sum; });
  __syncthreads();
  if (threadIdx.x == 0) finish(column);
}

/// total[s] over the n elements of term(i, double (&)[S]).
template <int S, class F>
void sum_elements(const Exec& exec, int64_t n, const F& term, double* total) {
  const int64_t size = std::max<int64_t>(int64_t(sum_threads) * 32, (n + max_chunks - 1) / max_chunks);
  const int chunks = int((n + size - 1) / size);
  const Temp<double> partial(exec, int64_t(S) * chunks);
  launch(exec, unsigned(chunks), sum_threads, sum_chunks_kernel<S, F>, term, n, size, partial.data());
  launch(exec, 1, sum_threads, sum_partial_kernel<S, NoFinish>, partial.data(), chunks, total, NoFinish());
}

/// total[s * c + channel] of feature maps in nchw or nhwc; then calls finish(channel) once for each channel.
template <int S, class Numbers, class F, class Finish>
void sum_features(const Exec& exec, const FeatureShape& shape, const Numbers& numbers, const F& f, double* total,
                  const Finish& finish) {
  const int64_t pixels = shape.pixels();
  const bool planes = shape.block == 1;
  bool packs = false;
  if constexpr (has_vectors<F>) packs = f.is_aligned() && (planes ? pixels : shape.c) % pack_size == 0;
  const int lanes = packs && !planes ? pack_size : 1, across = planes ? 1 : 32 / lanes, down = sum_threads / across;
  const int unit = down * (packs && planes ? pack_size : 1);  // pixels that the threads of a block process at once

  // A few thousand blocks if there is enough work, with 4 to 32 elements per thread.
  const int columns = across * lanes;  // per block
  const int64_t wanted = std::clamp<int64_t>(shape.n * pixels * shape.c / 1024, sum_threads * 4, sum_threads * 32);
  const int64_t least = std::max(wanted / columns, (pixels + max_chunks - 1) / max_chunks);
  const int64_t size = (std::max<int64_t>(least, 1) + unit - 1) / unit * unit;
  const int64_t chunks = (pixels + size - 1) / size, max_samples = std::max<int64_t>(1, max_chunks / chunks);
  const int64_t samples = std::min({int64_t(shape.n), max_samples, (shape.n * pixels + size - 1) / size});
  const dim3 grid(unsigned(chunks), unsigned((shape.c + columns - 1) / columns), unsigned(samples));
  const dim3 block{unsigned(across), unsigned(down)};
  const Temp<double> partial(exec, int64_t(S) * shape.c * chunks * samples);
  const auto run = [&](auto kernel) {
    launch(exec, grid, block, kernel, shape, int(size), numbers, f, partial.data());
  };
  if constexpr (has_vectors<F>) {
    if (packs && planes) run(sum_features_kernel<S, true, 1, Numbers, F>);
    if (packs && !planes) run(sum_features_kernel<S, true, pack_size, Numbers, F>);
  }
  if (!packs) run(sum_features_kernel<S, false, 1, Numbers, F>);
  launch(exec, unsigned(shape.c), sum_threads, sum_partial_kernel<S, Finish>, partial.data(), int(chunks * samples),
         total, finish);
}

}  // namespace basin::tuned
#endif

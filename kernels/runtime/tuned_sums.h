#pragma once
#include <algorithm>
#include <utility>

#include "kernels/runtime/launch.h"
#include "kernels/runtime/scratch.h"

// Sums over many elements on a GPU: blocks of threads each add up a chunk, a tree of fixed shape adds up their sums,
// and one more block the chunks. Neighbouring threads read neighbouring elements. The order depends on the sizes alone:
// the same bits from run to run, though not those of the plain kernels.

namespace basin {

/// Sums that nothing is done with at once.
struct NoFinish {
  BASIN_HD void operator()(int64_t) const {}
};

}  // namespace basin

#ifdef __CUDACC__
namespace basin::tuned {

constexpr int sum_threads = 256;
constexpr int max_chunks = 512;

/// Elements of a chunk such that each thread adds up 32, or more where there would be more than max_chunks.
inline int chunk_for(int64_t n, int threads) {
  return int(std::max<int64_t>(int64_t(threads) * 32, (n + max_chunks - 1) / max_chunks));
}

/// sum[s * sum_threads + column], column < across, becomes the sum over all threads of that column (thread % across).
template <int S, class Shared>
__device__ void add_columns(Shared& sum, int across) {
  const int thread = int(threadIdx.x);
  for (int half = sum_threads / 2; half >= across; half /= 2) {
    __syncthreads();
    if (thread < half)
      for (int s = 0; s < S; ++s)
        sum[s * sum_threads + thread] += sum[s * sum_threads + thread + half];
  }
}

/// Block x of row y: the sums of its chunk in `across` columns. chunk.add(column, begin, end, step, own) adds what
/// elements begin, begin + step, ... below end of a column come to.
template <int S, class Chunk>
__global__ void sum_chunks_kernel(Chunk chunk, int64_t n, int size, int columns, int across, double* partial) {
  BASIN_SHARED(double, sum, S* sum_threads);
  const int thread = int(threadIdx.x), column = int(blockIdx.y) * across + thread % across;
  const int64_t begin = int64_t(blockIdx.x) * size, end = begin + size < n ? begin + size : n;
  typename Chunk::Sum own[S] = {};
  if (column < columns) chunk.add(column, begin + thread / across, end, sum_threads / across, own);
  for (int s = 0; s < S; ++s)
    sum[s * sum_threads + thread] = double(own[s]);
  add_columns<S>(sum, across);
  if (thread < across && column < columns)
    for (int s = 0; s < S; ++s)
      partial[(int64_t(s) * columns + column) * gridDim.x + blockIdx.x] = sum[s * sum_threads + thread];
}

/// The totals of column blockIdx.x, each of `count` partial sums; then finish(column).
template <int S, class Finish>
__global__ void sum_partial_kernel(const double* partial, int count, double* total, Finish finish) {
  BASIN_SHARED(double, sum, S* sum_threads);
  const int thread = int(threadIdx.x), columns = int(gridDim.x), column = int(blockIdx.x);
  double own[S] = {};
  for (int s = 0; s < S; ++s)
    for (int i = thread; i < count; i += sum_threads)
      own[s] += partial[(int64_t(s) * columns + column) * count + i];
  for (int s = 0; s < S; ++s)
    sum[s * sum_threads + thread] = own[s];
  add_columns<S>(sum, 1);
  if (thread > 0) return;
  for (int s = 0; s < S; ++s)
    total[s * columns + column] = sum[s * sum_threads];
  finish(column);
}

/// total[s * columns + column] over the n elements of each column; `across` neighbouring columns lie side by side in
/// memory. Then finish(column) once for each.
template <int S, class Chunk, class Finish = NoFinish>
void sum_columns(const Exec& exec, const Chunk& chunk, int64_t n, int columns, int across, double* total,
                 const Finish& finish = {}) {
  const int size = chunk_for(n, sum_threads / across), chunks = int((n + size - 1) / size);
  const Temp<double> partial(exec, int64_t(S) * columns * chunks);
  const dim3 grid(unsigned(chunks), unsigned((columns + across - 1) / across));
  launch(exec, grid, sum_threads, sum_chunks_kernel<S, Chunk>, chunk, n, size, columns, across, partial.data());
  launch(exec, unsigned(columns), sum_threads, sum_partial_kernel<S, Finish>, partial.data(), chunks, total, finish);
}

}  // namespace basin::tuned
#endif

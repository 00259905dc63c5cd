#pragma once
#include <omp.h>

#include <algorithm>

#include "kernels/runtime/exec.h"
#include "kernels/runtime/isa.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/view.h"

namespace basin {

#ifdef __CUDACC__
template <class F>
__global__ void for_each_kernel(int64_t n, F f) {
  const int64_t stride = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    f(i);
}

template <class F>
__global__ void for_each_row_kernel(int64_t n, int64_t width, F f) {
  const int64_t stride = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const int64_t row = quotient(i, width);
    f(row, i - row * width);
  }
}

inline unsigned blocks_for(int64_t n, int threads) {
  const int64_t blocks = (n + threads - 1) / threads;
  return unsigned(blocks < 65535 ? blocks : 65535);
}
#endif

namespace detail {

template <class F>
inline void run_range(int64_t begin, int64_t end, const F& f) {
  for (int64_t i = begin; i < end; ++i)
    f(i);
}
template <class F>
inline void run_row(int64_t row, int64_t width, const F& f) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    f(row, i);
}
#if BASIN_ISA_DISPATCH
template <class F>
BASIN_AVX2 void run_range_avx2(int64_t begin, int64_t end, const F& f) {
  for (int64_t i = begin; i < end; ++i)
    f(i);
}
template <class F>
BASIN_AVX512 void run_range_avx512(int64_t begin, int64_t end, const F& f) {
  for (int64_t i = begin; i < end; ++i)
    f(i);
}
template <class F>
BASIN_AVX2 void run_row_avx2(int64_t row, int64_t width, const F& f) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    f(row, i);
}
template <class F>
BASIN_AVX512 void run_row_avx512(int64_t row, int64_t width, const F& f) {
#pragma omp simd
  for (int64_t i = 0; i < width; ++i)
    f(row, i);
}
#endif

/// f(i) for i in [begin, end), in order, on this thread, with the best instruction set.
template <class F>
void in_order(int64_t begin, int64_t end, const F& f) {
#if BASIN_ISA_DISPATCH
  if (isa() == Isa::avx512) return run_range_avx512(begin, end, f);
  if (isa() == Isa::avx2) return run_range_avx2(begin, end, f);
#endif
  run_range(begin, end, f);
}
template <class F>
void row_in_order(int64_t row, int64_t width, const F& f) {
#if BASIN_ISA_DISPATCH
  if (isa() == Isa::avx512) return run_row_avx512(row, width, f);
  if (isa() == Isa::avx2) return run_row_avx2(row, width, f);
#endif
  run_row(row, width, f);
}

}  // namespace detail

/// Calls f(i) once for each i in [0, n), in any order. f is a struct of Views with a BASIN_HD operator(). CPU threads
/// take `chunk` indices at a time: pass a smaller chunk if one index is much work.
template <class F>
void for_each(const Exec& exec, int64_t n, const F& f, int64_t chunk = 1024) {
  if (n <= 0) return;
  if (exec.device == Device::cpu) {
#pragma omp parallel for schedule(static) if (n > 4 * chunk)
    for (int64_t begin = 0; begin < n; begin += chunk)
      detail::in_order(begin, begin + chunk < n ? begin + chunk : n, f);
    return;
  }
#ifdef __CUDACC__
  launch(exec, blocks_for(n, 256), 256, for_each_kernel<F>, n, f);
#else
  BASIN_CHECK(false, "this build has no CUDA");
#endif
}

/// Calls f(row, i) once for each row in [0, rows) and i in [0, width), in any order. The CPU divides once per row and
/// vectorises its inner loop over i, so calls of one row must not depend on each other.
template <class F>
void for_each_row(const Exec& exec, int64_t rows, int64_t width, const F& f) {
  if (rows <= 0 || width <= 0) return;
  if (exec.device == Device::cpu) {
#pragma omp parallel for schedule(static) if (rows * width > 4096)
    for (int64_t row = 0; row < rows; ++row)
      detail::row_in_order(row, width, f);
    return;
  }
#ifdef __CUDACC__
  launch(exec, blocks_for(rows * width, 256), 256, for_each_row_kernel<F>, rows * width, width, f);
#else
  BASIN_CHECK(false, "this build has no CUDA");
#endif
}

namespace detail {
template <class F>
struct Flat {
  F f;
  int64_t n;
  static constexpr int64_t row = 4096;
  BASIN_HD void operator()(int64_t r, int64_t i) const {
    if (r * row + i < n) f(0, r * row + i);
  }
};
}  // namespace detail

/// Calls f(0, i) once for each i in [0, n), in any order, split into rows that run in parallel and vectorise like those
/// of for_each_row.
template <class F>
void for_each_flat(const Exec& exec, int64_t n, const F& f) {
  using detail::Flat;
  for_each_row(exec, (n + Flat<F>::row - 1) / Flat<F>::row, Flat<F>::row, Flat<F>{f, n});
}

/// Calls f(i) once for each i in [0, groups * per_group), for an f that scatters with add() inside its own group i /
/// per_group. On the CPU one thread runs a group in order, so the order of sums does not depend on the thread count; on
/// the GPU all indices run concurrently.
template <class F>
void for_each_in_groups(const Exec& exec, int64_t groups, int64_t per_group, const F& f) {
  if (exec.device != Device::cpu) return for_each(exec, groups * per_group, f);
#pragma omp parallel for schedule(static, 1)
  for (int64_t g = 0; g < groups; ++g)
    detail::in_order(g * per_group, (g + 1) * per_group, f);
}

/// Calls f(i) once for each i in [0, n) on the CPU's threads, in any order, for an f that does much work per call, such
/// as a band of rows. f need not be BASIN_HD; it is compiled once per instruction set with everything that it calls
/// inlined.
template <class F>
void for_each_task(int64_t n, const F& f) {
#pragma omp parallel for schedule(dynamic, 1)
  for (int64_t i = 0; i < n; ++i)
    detail::in_order(i, i + 1, f);
}

namespace {

/// Writes one value to every element. It is in an anonymous namespace because for_each instantiated with it in a .cu
/// file is a different function from the one in a .cpp file.
template <class T>
struct Fill {
  T* data;
  T value;
  BASIN_HD void operator()(int64_t i) const { data[i] = value; }
};

}  // namespace

/// Adds to a value that other indices of the same group may add to as well.
template <class T>
BASIN_HD void add(T& to, T value) {
#ifdef __CUDA_ARCH__
  atomicAdd(&to, value);
#else
  to += value;
#endif
}

/// To split n elements among CPU threads in contiguous parts: the number of parts, and where each part begins.
inline int parts_for(int64_t n) { return int(std::clamp<int64_t>(n / 16384, 1, omp_get_max_threads())); }
inline int64_t part_begin(int64_t n, int parts, int part) { return n * part / parts; }

}  // namespace basin

#pragma once
#include "kernels/runtime/isa.h"

#if BASIN_ISA_DISPATCH
#include <immintrin.h>

#include <algorithm>
#include <bit>

#include "kernels/cluster/neighbours.h"

// For sources that are compiled only as C++, never as CUDA.
namespace basin::kernels {

/// Bit k is set if point k of several neighbouring ones lies surely, or possibly, within eps of a given point.
struct NearBits {
  uint32_t sure, possible;
};

/// Operations on `size` elements at once: d^2 of points compared with two bounds, integers with a limit. One struct per
/// instruction set, used as a template argument of the code that `run` calls.
template <class T>
struct Avx512Lanes;
template <class T>
struct Avx2Lanes;

template <>
struct Avx512Lanes<float> {
  static constexpr int size = 16;
  static BASIN_AVX512 NearBits compare(const float* x, const float* y, float px, float py, float sure, float possible) {
    const __m512 dx = _mm512_sub_ps(_mm512_loadu_ps(x), _mm512_set1_ps(px));
    const __m512 dy = _mm512_sub_ps(_mm512_loadu_ps(y), _mm512_set1_ps(py));
    const __m512 d2 = _mm512_add_ps(_mm512_mul_ps(dx, dx), _mm512_mul_ps(dy, dy));
    return {_mm512_cmp_ps_mask(d2, _mm512_set1_ps(sure), _CMP_LE_OQ),
            _mm512_cmp_ps_mask(d2, _mm512_set1_ps(possible), _CMP_LE_OQ)};
  }
  static BASIN_AVX512 uint32_t below(const int32_t* value, int32_t limit) {
    return _mm512_cmplt_epi32_mask(_mm512_loadu_si512(value), _mm512_set1_epi32(limit));
  }
  template <class F>
  static void run(int64_t begin, int64_t end, const F& f) {
    detail::run_range_avx512(begin, end, f);
  }
};

template <>
struct Avx512Lanes<double> {
  static constexpr int size = 8;
  static BASIN_AVX512 NearBits compare(const double* x, const double* y, double px, double py, double sure, double) {
    const __m512d dx = _mm512_sub_pd(_mm512_loadu_pd(x), _mm512_set1_pd(px));
    const __m512d dy = _mm512_sub_pd(_mm512_loadu_pd(y), _mm512_set1_pd(py));
    const __m512d d2 = _mm512_add_pd(_mm512_mul_pd(dx, dx), _mm512_mul_pd(dy, dy));
    const uint32_t bits = _mm512_cmp_pd_mask(d2, _mm512_set1_pd(sure), _CMP_LE_OQ);
    return {bits, bits};
  }
  static BASIN_AVX512 uint32_t below(const int32_t* value, int32_t limit) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(value));
    return _mm256_cmplt_epi32_mask(v, _mm256_set1_epi32(limit));
  }
  template <class F>
  static void run(int64_t begin, int64_t end, const F& f) {
    detail::run_range_avx512(begin, end, f);
  }
};

template <>
struct Avx2Lanes<float> {
  static constexpr int size = 8;
  static BASIN_AVX2 NearBits compare(const float* x, const float* y, float px, float py, float sure, float possible) {
    const __m256 dx = _mm256_sub_ps(_mm256_loadu_ps(x), _mm256_set1_ps(px));
    const __m256 dy = _mm256_sub_ps(_mm256_loadu_ps(y), _mm256_set1_ps(py));
    const __m256 d2 = _mm256_add_ps(_mm256_mul_ps(dx, dx), _mm256_mul_ps(dy, dy));
    return {uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(d2, _mm256_set1_ps(sure), _CMP_LE_OQ))),
            uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(d2, _mm256_set1_ps(possible), _CMP_LE_OQ)))};
  }
  static BASIN_AVX2 uint32_t below(const int32_t* value, int32_t limit) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(value));
    return uint32_t(_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(limit), v))));
  }
  template <class F>
  static void run(int64_t begin, int64_t end, const F& f) {
    detail::run_range_avx2(begin, end, f);
  }
};

template <>
struct Avx2Lanes<double> {
  static constexpr int size = 4;
  static BASIN_AVX2 NearBits compare(const double* x, const double* y, double px, double py, double sure, double) {
    const __m256d dx = _mm256_sub_pd(_mm256_loadu_pd(x), _mm256_set1_pd(px));
    const __m256d dy = _mm256_sub_pd(_mm256_loadu_pd(y), _mm256_set1_pd(py));
    const __m256d d2 = _mm256_add_pd(_mm256_mul_pd(dx, dx), _mm256_mul_pd(dy, dy));
    const uint32_t bits = uint32_t(_mm256_movemask_pd(_mm256_cmp_pd(d2, _mm256_set1_pd(sure), _CMP_LE_OQ)));
    return {bits, bits};
  }
  static BASIN_AVX2 uint32_t below(const int32_t* value, int32_t limit) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(value));
    return uint32_t(_mm_movemask_ps(_mm_castsi128_ps(_mm_cmplt_epi32(v, _mm_set1_epi32(limit)))));
  }
  template <class F>
  static void run(int64_t begin, int64_t end, const F& f) {
    detail::run_range_avx2(begin, end, f);
  }
};

constexpr int64_t chunk_of_slots = 2048;

/// Calls f for each cell that starts in the chunk.
template <class T, class F>
struct CellsOfChunk {
  GridView<T> grid;
  F f;

  void operator()(int64_t c) const {
    const int begin = int(c * chunk_of_slots), end = int(std::min<int64_t>(grid.n, (c + 1) * chunk_of_slots));
    for (int p = grid.starts_cell(begin) ? begin : grid.cell_end(begin); p < end;) {
      const Range cell{p, grid.cell_end(p)};
      f(cell);
      p = cell.end;
    }
  }
};

template <class F>
struct SlotsOfChunk {
  int64_t n;
  F f;

  void operator()(int64_t c) const {
    for (int64_t p = c * chunk_of_slots; p < std::min(n, (c + 1) * chunk_of_slots); ++p)
      f(p);
  }
};

/// Compares as many points at once as the instruction set allows. On the CPU only.
template <class T, class Lanes>
struct Batched {
  static constexpr bool all_inside = true;
  const GridView<T>& grid;
  const EpsBounds<T>& eps;
  int p;

  /// For slots q, q + 1, ... before `end`, at most Lanes::size.
  NearBits near(int q, int end) const {
    const NearBits bits = Lanes::compare(grid.x + q, grid.y + q, grid.x[p], grid.y[p], eps.sure, eps.possible);
    const uint32_t valid = end - q < Lanes::size ? (1u << (end - q)) - 1 : ~0u;
    return {bits.sure & valid, bits.possible & valid};
  }

  bool is_core(const Rows<T>& rows, int wanted) const {
    int found = 0;
    uint32_t doubts = 0;
    for (int r = 0; r < 5; ++r) {
      for (int q = rows.near[r].begin; q < rows.near[r].end; q += Lanes::size) {
        const NearBits bits = near(q, rows.near[r].end);
        found += std::popcount(bits.sure);
        doubts |= bits.sure ^ bits.possible;
      }
      if (found >= wanted) return true;
    }
    return doubts && OneByOne<T>{grid, eps, p}.is_core(rows, wanted);
  }

  int32_t smallest(Range range, const int32_t* value, int32_t otherwise) const {
    for (int q = range.begin; q < range.end; q += Lanes::size) {
      const NearBits bits = near(q, range.end);
      uint32_t left = bits.possible & Lanes::below(value + q, otherwise);
      for (; left; left &= left - 1) {
        const int k = std::countr_zero(left);
        if (value[q + k] < otherwise && ((bits.sure >> k & 1) || OneByOne<T>{grid, eps, p}.is_near(q + k)))
          otherwise = value[q + k];
      }
    }
    return otherwise;
  }
  bool any(Range range, const int32_t* value, int32_t limit) const {
    for (int q = range.begin; q < range.end; q += Lanes::size) {
      const NearBits bits = near(q, range.end);
      const uint32_t below = Lanes::below(value + q, limit);
      if (bits.sure & below) return true;
      for (uint32_t left = bits.possible & below; left; left &= left - 1)
        if (OneByOne<T>{grid, eps, p}.is_near(q + std::countr_zero(left))) return true;
    }
    return false;
  }

  template <class F>
  static void for_each_cell(const Exec&, const GridView<T>& grid, const F& f) {
    in_chunks(grid.n, CellsOfChunk<T, F>{grid, f});
  }
  template <class F>
  static void for_each_slot(const Exec&, const GridView<T>& grid, const F& f) {
    in_chunks(grid.n, SlotsOfChunk<F>{grid.n, f});
  }
  /// Chunks are scheduled dynamically.
  template <class F>
  static void in_chunks(int64_t n, const F& f) {
#pragma omp parallel for schedule(dynamic, 4) if (n > 2 * chunk_of_slots)
    for (int64_t c = 0; c < (n + chunk_of_slots - 1) / chunk_of_slots; ++c)
      Lanes::run(c, c + 1, f);
  }
};

}  // namespace basin::kernels
#endif

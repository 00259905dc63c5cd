#pragma once
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "kernels/runtime/isa.h"
#if BASIN_ISA_DISPATCH
#include <immintrin.h>
#endif

// For sources that are compiled only as C++, never as CUDA.
namespace basin::kernels {

/// [bits of 8 pixels][k]: how many of the pixels 0 to k are set.
using Counts = std::array<std::array<uint8_t, 8>, 256>;
constexpr Counts counts_up_to = [] {
  Counts counts{};
  for (unsigned bits = 0; bits < 256; ++bits)
    for (int k = 0; k < 8; ++k)
      counts[bits][size_t(k)] = uint8_t(std::popcount(bits & ((2u << k) - 1)));
  return counts;
}();

/// Pixel k: label[count[k]] where bit k is set, else 0.
struct PlainPixels {
  static void fill_eight(int32_t* to, uint64_t set, const std::array<uint8_t, 8>& count, const int32_t* label) {
    for (size_t k = 0; k < 8; ++k)
      to[k] = -int32_t(set >> k & 1) & label[count[k]];
  }
};
#if BASIN_ISA_DISPATCH
struct Avx2Pixels {
  static BASIN_AVX2 void fill_eight(int32_t* to, uint64_t set, const std::array<uint8_t, 8>& count,
                                    const int32_t* label) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i is_set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(int(set)), bit), bit);
    const __m256i at = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(count.data())));
    const __m256i labels = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(label));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                        _mm256_and_si256(_mm256_permutevar8x32_epi32(labels, at), is_set));
  }
};
#endif

/// Labels n <= 64 pixels of a row; bit x of `set` means that pixel x is foreground, and bit x of `starts` that a run
/// starts there. of_run: the label of the last run that started before, then those of the runs that start here; 8
/// elements from each of them may be read.
template <class Pixels>
void fill_labels(int32_t* to, int n, uint64_t set, uint64_t starts, const int32_t* of_run) {
  if (n == 64 && starts == 0 && (set == 0 || ~set == 0)) {
    std::fill(to, to + 64, set ? *of_run : 0);
    return;
  }
  for (; n >= 8; n -= 8, to += 8, set >>= 8, starts >>= 8) {
    const std::array<uint8_t, 8>& count = counts_up_to[starts & 255];
    Pixels::fill_eight(to, set & 255, count, of_run);
    of_run += count[7];
  }
  for (; n > 0; --n, ++to, set >>= 1, starts >>= 1) {
    of_run += starts & 1;
    *to = -int32_t(set & 1) & *of_run;
  }
}

}  // namespace basin::kernels

#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace basin::kernels {

/// For work on n elements in an order that counts: in how many parts CPU threads share it, and where each begins.
inline int parts_for(int64_t n) { return int(std::clamp<int64_t>(n / 16384, 1, omp_get_max_threads())); }
inline int64_t part_begin(int64_t n, int parts, int part) { return n * part / parts; }

}  // namespace basin::kernels

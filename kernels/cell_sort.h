#pragma once
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "kernels/parallel.h"
#include "kernels/parts.h"
#include "kernels/scratch.h"
#include "kernels/view.h"

namespace basin::kernels {

/// Where sorted points go: one array for each part of them, and for each key the first place that is not below it.
template <class T>
struct CellArrays {
  T *x, *y;
  int32_t* index;
  uint32_t* key;   // in: of each point in the order of the input; out: in the new order
  int32_t* table;  // [keys + 1]
};

/// On the CPU: points [N, 2] in the order of their keys, which lie below `keys`; equal keys in the order of the input.
/// A counting sort in two passes: first into bands of neighbouring keys, then each band, which fits into a core's own
/// cache, by key. assign_key(from, k) has to fill in out.key[from + k].
template <class T, class AssignKey>
void sort_into_cells(const Exec& exec, View<const T, 2> points, int64_t keys, const AssignKey& assign_key,
                     const CellArrays<T>& out) {
  struct Point {
    T x, y;
    int32_t index;
    uint32_t key;
  };
  const int64_t n = points.dim[0];
  const int shift = std::max(8, int(std::bit_width(uint64_t(keys))) - 10);
  const int bands = int(keys >> shift) + 1, parts = parts_for(n);
  const auto begin_of = [=](int part) { return part_begin(n, parts, part); };
  Temp<int32_t> next(exec, int64_t(parts) * bands), band_begin(exec, bands + 1);
  Temp<Point> banded(exec, n);
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int32_t* count = next.data() + int64_t(part) * bands;
    std::fill(count, count + bands, 0);
    for (int64_t begin = begin_of(part), end; begin < begin_of(part + 1); begin = end) {
      end = std::min<int64_t>(begin + 4096, begin_of(part + 1));
      detail::row_in_order(begin, end - begin, assign_key);
      for (int64_t i = begin; i < end; ++i)
        ++count[out.key[i] >> shift];
    }
  }
  int32_t sum = 0;
  for (int band = 0; band < bands; ++band) {
    band_begin[band] = sum;
    for (int part = 0; part < parts; ++part) {
      int32_t& at = next[int64_t(part) * bands + band];
      const int32_t count = at;
      at = sum;
      sum += count;
    }
  }
  band_begin[bands] = sum;
#pragma omp parallel for schedule(static, 1) num_threads(parts)
  for (int part = 0; part < parts; ++part) {
    int32_t* to = next.data() + int64_t(part) * bands;
    for (int64_t i = begin_of(part); i < begin_of(part + 1); ++i)
      banded[to[out.key[i] >> shift]++] = {points.data[2 * i], points.data[2 * i + 1], int32_t(i), out.key[i]};
  }
#pragma omp parallel for schedule(dynamic, 4) num_threads(parts)
  for (int band = 0; band < bands; ++band) {
    const int64_t first = int64_t(band) << shift, last = std::min((int64_t(band) + 1) << shift, keys);
    int32_t* at = out.table;
    std::fill(at + first, at + last, 0);
    for (int i = band_begin[band]; i < band_begin[band + 1]; ++i)
      ++at[banded[i].key];
    int32_t place = band_begin[band];
    for (int64_t k = first; k < last; ++k)
      place += std::exchange(at[k], place);
    for (int i = band_begin[band]; i < band_begin[band + 1]; ++i) {
      const Point& point = banded[i];
      const int32_t to = at[point.key]++;
      out.x[to] = point.x;
      out.y[to] = point.y;
      out.index[to] = point.index;
      out.key[to] = point.key;
    }
    if (first == last) continue;
    std::memmove(at + first + 1, at + first, size_t(last - first - 1) * sizeof(int32_t));  // ends are the next begins
    at[first] = band_begin[band];
  }
  out.table[keys] = int32_t(n);
}

}  // namespace basin::kernels

#include "kernels/components_runs.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/parallel.h"
#include "kernels/scratch.h"
#include "kernels/sort.h"
#include "kernels/union_find.h"

namespace basin::kernels {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr int strip = 64;  // rows that one thread takes at a time

/// Foreground pixels [begin, end) of a row.
struct Run {
  int32_t begin, end;
};

/// Bit k is set where byte k is not 0.
uint64_t nonzero_bits(const uint8_t* bytes, int n) {
  constexpr uint64_t low7 = 0x7f7f7f7f7f7f7f7f, gather = 0x0102040810204080;
  uint64_t bits = 0;
  for (int k = 0; k < n; k += 8) {
    uint64_t eight = 0;
    std::memcpy(&eight, bytes + k, size_t(std::min(8, n - k)));
    const uint64_t set = ((((eight & low7) + low7) | eight) & ~low7) >> 7;  // 1 in each byte that is not 0
    bits |= (set * gather >> 56) << k;
  }
  return bits;
}

struct Runs {
  int height, width;
  Run* runs;       // row y has its own from y * most() on
  int32_t* count;  // [height]
  int32_t* id;     // [height]: of the first run of a row; runs are numbered in raster order

  int64_t most() const { return (int64_t(width) + 1) / 2; }
  Run* row(int y) const { return runs + y * most(); }

  void find(const uint8_t* pixels, int y) const {
    int32_t* edge = &row(y)->begin;
    uint64_t before = 0;  // 1: the pixel before was foreground
    for (int x = 0; x < width; x += 64) {
      const uint64_t bits = width - x >= 64 ? nonzero_bits(pixels + x, 64) : nonzero_bits(pixels + x, width - x);
      for (uint64_t edges = bits ^ (bits << 1 | before); edges; edges &= edges - 1)
        *edge++ = x + std::countr_zero(edges);
      before = bits >> 63;
    }
    const int64_t edges = edge - &row(y)->begin;
    if (edges % 2) *edge = width;
    count[y] = int32_t((edges + 1) / 2);
  }

  /// connect(run of row y - 1, run of row y) for all pairs that share a column, or touch at a corner where reach is 1.
  template <class Connect>
  void for_each_contact(int y, int reach, const Connect& connect) const {
    const Run *above = row(y - 1), *here = row(y);
    const Run *above_end = above + count[y - 1], *here_end = here + count[y];
    int32_t a = id[y - 1], b = id[y];
    while (above < above_end && here < here_end) {
      if (above->begin < here->end + reach && here->begin < above->end + reach) connect(a, b);
      const bool next_above = above->end < here->end;
      above += next_above, a += next_above;
      here += !next_above, b += !next_above;
    }
  }
};

/// Writes 8 elements at a time from left to right: what goes beyond `end` is overwritten by what comes after it.
void fill(int32_t* row, int begin, int end, int width, int32_t value) {
  constexpr int step = 8;
  int32_t values[step];
  std::fill(values, values + step, value);
  int x = begin;
  for (; x < end && x + step <= width; x += step)
    std::memcpy(row + x, values, sizeof values);
  for (; x < end; ++x)
    row[x] = value;
}

struct FillRow {
  Runs runs;
  UnionFind sets;
  const int32_t* number;
  View<int32_t, 2> labels;

  void operator()(int64_t y) const {
    int32_t* row = labels.data + y * labels.dim[1];
    int x = 0;
    for (int32_t k = 0; k < runs.count[y]; ++k) {
      const Run run = runs.row(int(y))[k];
      fill(row, x, run.begin, runs.width, 0);
      fill(row, run.begin, run.end, runs.width, number[sets.find(runs.id[y] + k)] + 1);
      x = run.end;
    }
    fill(row, x, runs.width, runs.width, 0);
  }
};

}  // namespace

int64_t components_by_runs(const Exec& exec, View<const uint8_t, 2> mask, bool diagonals, View<int32_t, 2> labels) {
  const int height = mask.dim[0], width = mask.dim[1], strips = (height + strip - 1) / strip;
  Temp<Run> all(exec, int64_t(height) * ((int64_t(width) + 1) / 2));
  Temp<int32_t> count(exec, height), id(exec, height);
  const Runs runs{height, width, all.data(), count.data(), id.data()};
#pragma omp parallel for schedule(dynamic)
  for (int s = 0; s < strips; ++s)
    for (int y = s * strip; y < std::min(height, (s + 1) * strip); ++y)
      runs.find(mask.data + int64_t(y) * width, y);
  std::copy_n(count.data(), height, id.data());
  const int n = int(exclusive_sum(exec, {id.data(), {height}}));

  Temp<int32_t> parent(exec, n), number(exec, n);
  const UnionFind sets{parent.data()};
#pragma omp parallel for schedule(dynamic)
  for (int s = 0; s < strips; ++s)
    for (int y = s * strip; y < std::min(height, (s + 1) * strip); ++y) {
      for (int32_t k = 0; k < count[y]; ++k)
        parent[id[y] + k] = id[y] + k;
      if (y == s * strip) continue;
      runs.for_each_contact(y, diagonals, [&](int32_t above, int32_t here) {
        const int32_t a = sets.find(above), b = sets.find(here);  // runs of this strip: no other thread has them
        parent[std::max(a, b)] = std::min(a, b);
      });
    }
  for (int y = strip; y < height; y += strip)
    runs.for_each_contact(y, diagonals, [&](int32_t above, int32_t here) { sets.unite(above, here); });

#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; ++i)
    number[i] = parent[i] == i;
  const int64_t components = exclusive_sum(exec, {number.data(), {n}});
  const FillRow fill_row{runs, sets, number.data(), labels};
#pragma omp parallel for schedule(dynamic)
  for (int s = 0; s < strips; ++s)
    detail::in_order(s * strip, std::min(height, (s + 1) * strip), fill_row);
  return components;
}

}  // namespace basin::kernels

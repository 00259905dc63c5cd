#include "kernels/embedding/adjacency.h"

#include <atomic>
#include <cmath>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/relaxed_atomics.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr int max_radius = 64;

/// The half width of the disc for each dy >= 0.
struct Disc {
  int height;  // the largest dy
  int half_width[max_radius + 1];

  explicit Disc(double radius) : height(int(radius)) {
    for (int dy = 0; dy <= height; ++dy)
      half_width[dy] = int(std::nearbyint(radius * std::sqrt(1 - dy * dy / (radius * radius))));
  }
};

/// Neighbouring pixels of one object in a row.
struct Run {
  int32_t begin, last, slot;
};

/// Summary of a row of pixels.
struct RowSummary {
  int32_t runs, has_background;
};

/// Row i of all samples: finds its runs of objects.
struct FindRuns {
  View<const int32_t, 3> labels;
  int slots;
  Run* runs;  // [N * H, W]
  RowSummary* rows;
  View<int32_t, 2> present;  // [N, slots]

  BASIN_HD void operator()(int64_t i) const {
    const int width = labels.dim[2], n = int(i / labels.dim[1]);
    const int32_t* label = labels.data + i * width;
    Run* run = runs + i * width;
    RowSummary row{0, 0};
    for (int begin = 0, end; begin < width; begin = end) {
      end = begin + 1;
      while (end < width && label[end] == label[begin])
        ++end;
      const int slot = slot_of(label[begin], slots);
      if (slot == 0) {
        row.has_background = 1;
        continue;
      }
      run[row.runs++] = {begin, end - 1, slot};
      relaxed_store(&present(n, slot), int32_t(1));
    }
    rows[i] = row;
  }
};

/// Sets a bit; other threads may set bits of the same word.
BASIN_HD inline void set_bit(int32_t* row, int slot) {
  int32_t& word = row[slot / 32];
  const int32_t bit = int32_t(1u << (slot % 32));
  if ((relaxed_load(&word) & bit) != 0) return;
#ifdef __CUDA_ARCH__
  atomicOr(&word, bit);
#else
  std::atomic_ref<int32_t>(word).fetch_or(bit, std::memory_order_relaxed);
#endif
}

/// Compares row i / (height + 1) of all samples with the row i % (height + 1) below it. Looking downwards is enough,
/// because the disc is symmetric.
struct CompareRows {
  Disc disc;
  int rows_of_sample, width;
  const Run* runs;
  const RowSummary* rows;
  View<int32_t, 3> neighbours;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t row = quotient(i, disc.height + 1);
    const int dy = int(i - row * (disc.height + 1)), reach = disc.half_width[dy];
    const int n = int(row / rows_of_sample), y = int(row % rows_of_sample);
    if (y + dy >= rows_of_sample) return;
    const Run *upper = runs + row * width, *lower = runs + (row + dy) * width;
    const int uppers = rows[row].runs, lowers = rows[row + dy].runs;
    int first = 0;
    for (int a = 0; a < uppers; ++a) {
      while (first < lowers && lower[first].last + reach < upper[a].begin)
        ++first;
      for (int b = first; b < lowers && lower[b].begin <= upper[a].last + reach; ++b) {
        if (lower[b].slot == upper[a].slot) continue;
        set_bit(&neighbours(n, upper[a].slot, 0), lower[b].slot);
        set_bit(&neighbours(n, lower[b].slot, 0), upper[a].slot);
      }
    }
  }
};

/// Combines the rows of a sample; then makes the background a neighbour of all objects that exist.
struct FinishSample {
  const RowSummary* rows;
  int rows_of_sample;
  bool background;
  View<const int32_t, 2> present;
  View<int32_t, 3> neighbours;

  BASIN_HD void operator()(int64_t i) const {
    const int n = int(i), slots = present.dim[1];
    int32_t has_background = 0;
    for (int y = 0; y < rows_of_sample; ++y)
      has_background |= rows[i * rows_of_sample + y].has_background;
    if (!background || !has_background) return;
    for (int slot = 1; slot < slots; ++slot)
      if (present(n, slot)) {
        set_bit(&neighbours(n, 0, 0), slot);
        set_bit(&neighbours(n, slot, 0), 0);
      }
  }
};

}  // namespace

void adjacency(const Exec& exec, View<const int32_t, 3> labels, AdjacencyOptions o, View<int32_t, 3> neighbours) {
  const int samples = labels.dim[0], slots = neighbours.dim[1];
  BASIN_CHECK(neighbours.dim[0] == samples && slots > 0 && neighbours.dim[2] == words_for(slots), "labels ", labels,
              ", neighbours ", neighbours);
  BASIN_CHECK(o.radius > 0 && o.radius <= max_radius, "radius ", o.radius);
  const int64_t rows = int64_t(samples) * labels.dim[1];
  const Disc disc(o.radius);
  Temp<Run> runs(exec, labels.size());
  Temp<RowSummary> summary(exec, rows);
  Temp<int32_t> present_memory(exec, int64_t(samples) * slots);
  const View<int32_t, 2> present{present_memory.data(), {samples, slots}};
  for_each(exec, present.size(), Fill<int32_t>{present.data, 0});
  for_each(exec, neighbours.size(), Fill<int32_t>{neighbours.data, 0});
  for_each(exec, rows, FindRuns{labels, slots, runs.data(), summary.data(), present}, 16);
  for_each(exec, rows * (disc.height + 1),
           CompareRows{disc, labels.dim[1], labels.dim[2], runs.data(), summary.data(), neighbours}, 64);
  for_each(exec, samples, FinishSample{summary.data(), labels.dim[1], o.background, present, neighbours}, 1);
}

}  // namespace basin::kernels

#include "kernels/image/label_filter.h"

#include <atomic>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

/// Adds to what others may add to at the same time. Integers: the sum does not depend on the order.
BASIN_HD inline void add_shared(int32_t& to, int32_t value) {
#ifdef __CUDA_ARCH__
  atomicAdd(&to, value);
#else
  std::atomic_ref<int32_t>(to).fetch_add(value, std::memory_order_relaxed);
#endif
}

/// Pieces of a row, in which each run of one label is added at once.
struct CountRuns {
  static constexpr int piece = 64;
  View<const int32_t, 2> labels;
  int pieces;  // of a row
  int32_t* size;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t y = quotient(i, pieces);
    const int width = labels.dim[1], left = int(i - y * pieces) * piece;
    const int right = left + piece < width ? left + piece : width;
    const int32_t* label = &labels(y, 0);
    for (int begin = left, end; begin < right; begin = end) {
      for (end = begin; end < right && label[end] == label[begin];)
        ++end;
      add_shared(size[label[begin]], end - begin);
    }
  }
};

/// number [slots + 1]: 1 for each label to keep.
struct MarkKept {
  View<const int32_t, 1> keep;
  int32_t* number;
  BASIN_HD void operator()(int64_t i) const { number[i] = i > 0 && i < keep.dim[0] && keep.data[i] != 0; }
};

/// From sizes to which are kept.
struct AtLeast {
  int min_size;
  int32_t* size;
  BASIN_HD void operator()(int64_t i) const { size[i] = size[i] >= min_size; }
};

/// number: how many kept labels there are before each, and after the last.
struct Renumber {
  const int32_t* number;
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const {
    const int32_t before = number[labels[i]], to = number[labels[i] + 1];
    labels[i] = to > before ? to : 0;
  }
};

}  // namespace

void label_sizes(const Exec& exec, View<const int32_t, 2> labels, View<int32_t, 1> size) {
  for_each(exec, size.size(), Fill<int32_t>{size.data, 0});
  const int pieces = (labels.dim[1] + CountRuns::piece - 1) / CountRuns::piece;
  for_each(exec, int64_t(labels.dim[0]) * pieces, CountRuns{labels, pieces, size.data}, 64);
}

int64_t keep_labels(const Exec& exec, View<const int32_t, 1> keep, View<int32_t, 2> labels) {
  const int slots = keep.dim[0];
  Temp<int32_t> number(exec, int64_t(slots) + 1);
  for_each(exec, slots + 1, MarkKept{keep, number.data()});
  const int64_t count = exclusive_sum(exec, {number.data(), {slots + 1}});
  for_each(exec, labels.size(), Renumber{number.data(), labels.data});
  return count;
}

int64_t drop_small_labels(const Exec& exec, int min_size, int64_t count, View<int32_t, 2> labels) {
  Temp<int32_t> memory(exec, count + 1);
  const View<int32_t, 1> size{memory.data(), {int(count) + 1}};
  label_sizes(exec, labels, size);
  for_each(exec, count + 1, AtLeast{min_size, size.data});
  return keep_labels(exec, size, labels);
}

}  // namespace basin::kernels

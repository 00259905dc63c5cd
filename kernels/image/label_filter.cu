#include "kernels/image/label_filter.h"

#include "kernels/image/peaks.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/relaxed_atomics.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"

namespace basin::kernels {
namespace {

/// A pixel counts as one.
struct One {
  BASIN_HD int32_t operator()(int64_t) const { return 1; }
};

constexpr int64_t whole = 1 << 20;

/// A pixel counts as its value, as a fraction of the largest one.
struct Share {
  const float *values, *largest;

  BASIN_HD int64_t operator()(int64_t i) const {
    const double share = double(values[i]) / double(*largest);
    return share > 0 ? int64_t(share * double(whole) + .5) : 0;
  }
};

/// Sums by label, a piece of a row at a time, and in it each run of one label at once.
template <class Number, class F>
struct AddRuns {
  static constexpr int piece = 64;
  View<const int32_t, 2> labels;
  int pieces;  // pieces per row
  F value;
  Number* sums;

  BASIN_HD void operator()(int64_t i) const {
    const int64_t y = quotient(i, pieces);
    const int width = labels.dim[1], left = int(i - y * pieces) * piece;
    const int right = left + piece < width ? left + piece : width;
    const int32_t* label = &labels(y, 0);
    for (int begin = left, end; begin < right; begin = end) {
      Number sum = 0;
      for (end = begin; end < right && label[end] == label[begin]; ++end)
        sum += value(y * width + end);
      relaxed_add(sums[label[begin]], sum);
    }
  }
};

template <class Number, class F>
void add_by_label(const Exec& exec, View<const int32_t, 2> labels, const F& value, View<Number, 1> sums) {
  const int pieces = (labels.dim[1] + AddRuns<Number, F>::piece - 1) / AddRuns<Number, F>::piece;
  for_each(exec, sums.size(), Fill<Number>{sums.data, 0});
  for_each(exec, int64_t(labels.dim[0]) * pieces, AddRuns<Number, F>{labels, pieces, value, sums.data}, 64);
}

/// number [slots + 1]: 1 for each label to keep.
struct MarkKept {
  View<const int32_t, 1> keep;
  int32_t* number;
  BASIN_HD void operator()(int64_t i) const { number[i] = i > 0 && i < keep.dim[0] && keep.data[i] != 0; }
};

/// From sizes to the labels to keep.
struct AtLeast {
  int min_size;
  int32_t* size;
  BASIN_HD void operator()(int64_t i) const { size[i] = size[i] >= min_size; }
};

struct NotWeak {
  WeakLabels rule;
  const int64_t* sum;
  int32_t* size;
  BASIN_HD void operator()(int64_t i) const {
    const bool strong = double(sum[i]) >= rule.min_mean * double(size[i]) * double(whole);
    size[i] = size[i] >= rule.min_size && strong;
  }
};

/// number: how many kept labels there are before each label, and after the last.
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
  add_by_label(exec, labels, One{}, size);
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

int64_t drop_weak_labels(const Exec& exec, WeakLabels rule, View<const float, 2> values, int64_t count,
                         View<int32_t, 2> labels) {
  BASIN_CHECK(values.dim[0] == labels.dim[0] && values.dim[1] == labels.dim[1], "values ", values, ", labels ", labels);
  const int slots = int(count) + 1;
  Temp<int32_t> sizes(exec, slots);
  Temp<int64_t> sums(exec, slots);
  Temp<float> largest(exec, 1);
  const View<int32_t, 1> size{sizes.data(), {slots}};
  largest_value(exec, values, largest.data());
  label_sizes(exec, labels, size);
  add_by_label(exec, labels, Share{values.data, largest.data()}, View<int64_t, 1>{sums.data(), {slots}});
  for_each(exec, slots, NotWeak{rule, sums.data(), size.data});
  return keep_labels(exec, size, labels);
}

}  // namespace basin::kernels

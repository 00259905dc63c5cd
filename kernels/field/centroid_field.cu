#include "kernels/field/centroid_field.h"

#include <atomic>
#include <cmath>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/reduce.h"
#include "kernels/runtime/relaxed_atomics.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

/// A slot for each label that occurs, whatever the labels are: a hash table with linear probing, filled by many threads
/// at once. 0 is not a label but an empty slot, so `id` must be zeroed before the first claim, and have more slots than
/// there are labels. The slot of a label depends on the order of the threads; results must not.
struct LabelTable {
  View<int32_t, 1> id;  // a power of two

  /// The slot of a label; `is_new` is true for one caller per label.
  BASIN_HD int64_t claim(int32_t label, bool& is_new) const {
    int64_t at = first(label);
    for (;; at = (at + 1) & (id.dim[0] - 1)) {
      const int32_t was = take(id(at), label);
      is_new = was == 0;
      if (is_new || was == label) return at;
    }
  }
  /// The slot of a label that was claimed.
  BASIN_HD int64_t find(int32_t label) const {
    int64_t at = first(label);
    while (id(at) != label)
      at = (at + 1) & (id.dim[0] - 1);
    return at;
  }

 private:
  BASIN_HD int64_t first(int32_t label) const {
    const uint64_t mixed = uint64_t(uint32_t(label)) * 0x9E3779B97F4A7C15u;
    return int64_t(mixed >> 32) & (id.dim[0] - 1);
  }
  /// Puts the label into the slot if it is empty; returns the previous content.
  BASIN_HD static int32_t take(int32_t& slot, int32_t label) {
    int32_t was = 0;
#ifdef __CUDA_ARCH__
    was = atomicCAS(&slot, 0, label);
#else
    std::atomic_ref<int32_t>(slot).compare_exchange_strong(was, label, std::memory_order_relaxed);
#endif
    return was;
  }
};

struct Sums {
  int64_t pixels, x, y;
};

/// rows are processed in pieces of this many pixels; each run of equal labels in a piece is summed at once
constexpr int piece = 64;

/// Calls f(label, y, begin, end) for each run of one piece.
template <class F>
BASIN_HD void for_each_run(View<const int32_t, 2> labels, int64_t i, const F& f) {
  const int width = labels.dim[1], pieces = (width + piece - 1) / piece;
  const int y = int(i / pieces), left = int(i % pieces) * piece, right = left + piece < width ? left + piece : width;
  const int32_t* label = &labels(y, 0);
  for (int begin = left, end; begin < right; begin = end) {
    end = begin + 1;
    while (end < right && label[end] == label[begin])
      ++end;
    f(label[begin], y, begin, end);
  }
}

/// Counts pixels with different labels to the left and above: an upper bound of the number of labels.
struct Corner {
  View<const int32_t, 2> labels;
  BASIN_HD void operator()(int64_t i, double (&t)[1]) const {
    const int width = labels.dim[1], x = int(i % width), y = int(i / width);
    const int32_t label = labels(y, x);
    t[0] = label != 0 && (x == 0 || labels(y, x - 1) != label) && (y == 0 || labels(y - 1, x) != label);
  }
};

struct Empty {
  LabelTable table;
  BASIN_HD void operator()(int64_t i) const { table.id(i) = 0; }
};

struct Claim {
  View<const int32_t, 2> labels;
  LabelTable table;
  Sums* sums;
  BASIN_HD void operator()(int64_t i) const {
    for_each_run(labels, i, [&](int32_t label, int, int, int) {
      bool is_new = false;
      const int64_t at = label == 0 ? 0 : table.claim(label, is_new);
      if (is_new) sums[at] = {};
    });
  }
};

struct Count {
  View<const int32_t, 2> labels;
  LabelTable table;
  Sums* sums;
  BASIN_HD void operator()(int64_t i) const {
    for_each_run(labels, i, [&](int32_t label, int y, int begin, int end) {
      if (label == 0) return;
      Sums& s = sums[table.find(label)];
      const int64_t n = end - begin;
      relaxed_add(s.pixels, n);
      relaxed_add(s.x, n * (begin + end - 1) / 2);
      relaxed_add(s.y, n * y);
    });
  }
};

struct CentroidField {
  View<const int32_t, 2> labels;
  LabelTable table;
  const Sums* sums;
  CentroidMode mode;
  View<float, 3> field;
  BASIN_HD void operator()(int64_t i) const {
    for_each_run(labels, i, [&](int32_t label, int y, int begin, int end) {
      if (label == 0) {
        for (int x = begin; x < end; ++x)
          field(0, y, x) = field(1, y, x) = 0;
        return;
      }
      const Sums& s = sums[table.find(label)];
      const double d_y = double(s.y) / double(s.pixels) - y, c_x = double(s.x) / double(s.pixels);
      for (int x = begin; x < end; ++x) {
        const double d_x = c_x - x, norm = sqrt(d_x * d_x + d_y * d_y);
        const double scale = mode == CentroidMode::displacement || norm < 1 ? 1 : 1 / norm;
        field(0, y, x) = float(d_x * scale);
        field(1, y, x) = float(d_y * scale);
      }
    });
  }
};

}  // namespace

void centroid_field(const Exec& exec, View<const int32_t, 2> labels, CentroidMode mode, View<float, 3> field) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(field.dim[0] == 2 && field.dim[1] == height && field.dim[2] == width, "labels ", labels, ", field ",
              field);
  BASIN_CHECK(labels.size() < centroid_pixel_limit, "labels ", labels);
  Temp<double> corners(exec, 1);
  sum<1>(exec, labels.size(), Corner{labels}, corners.data());
  const double max_objects = read_back(exec, corners.data());
  int slots = 2;
  while (slots < 2 * max_objects)
    slots *= 2;
  Temp<int32_t> ids(exec, slots);
  Temp<Sums> sums(exec, slots);
  const LabelTable table{{ids.data(), {slots}}};
  const int64_t pieces = int64_t(height) * ((width + piece - 1) / piece);
  for_each(exec, slots, Empty{table});
  for_each(exec, pieces, Claim{labels, table, sums.data()});
  for_each(exec, pieces, Count{labels, table, sums.data()});
  for_each(exec, pieces, CentroidField{labels, table, sums.data(), mode, field});
}

}  // namespace basin::kernels

#include "kernels/field/edt.h"

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

namespace basin::kernels {
namespace {

constexpr int32_t unreachable = 1 << 30;  // larger than any side

/// Distance along the column to the nearest other label, for `block` neighbouring columns.
struct ColumnDistance {
  View<const int32_t, 2> labels;
  int block;
  View<int32_t, 2> distance;

  BASIN_HD void operator()(int64_t i) const {
    const int height = labels.dim[0], width = labels.dim[1];
    const int begin = int(i) * block, n = width - begin < block ? width - begin : block;
    for (int x = 0; x < n; ++x)
      distance(0, begin + x) = unreachable;
    for (int y = 1; y < height; ++y) {
      const int32_t *label = &labels(y, begin), *above = &labels(y - 1, begin), *last = &distance(y - 1, begin);
      int32_t* to = &distance(y, begin);
      for (int x = 0; x < n; ++x) {
        const int32_t further = last[x] < unreachable ? last[x] + 1 : unreachable;
        to[x] = label[x] == above[x] ? further : 1;
      }
    }
    for (int y = height - 2; y >= 0; --y) {
      const int32_t *label = &labels(y, begin), *below = &labels(y + 1, begin), *last = &distance(y + 1, begin);
      int32_t* to = &distance(y, begin);
      for (int x = 0; x < n; ++x) {
        const int32_t further = label[x] == below[x] ? last[x] + 1 : 1;
        to[x] = further < to[x] ? further : to[x];
      }
    }
  }
};

/// Processes one row, run by run of equal labels: the sites are the run's pixels with their column distances, and with
/// height zero the two pixels at its ends, beyond which nothing can be nearer.
struct RowEnvelope {
  View<const int32_t, 2> labels, column_distance;
  View<int32_t, 2> sites, starts;  // [H,W+2] the envelope: its sites, and where each becomes the nearest
  View<int32_t, 2> squared;

  BASIN_HD void operator()(int64_t y) const {
    const int width = labels.dim[1];
    const int32_t* label = &labels(y, 0);
    for (int begin = 0, end; begin < width; begin = end) {
      end = begin + 1;
      while (end < width && label[end] == label[begin])
        ++end;
      if (label[begin] == 0)
        for (int x = begin; x < end; ++x)
          squared(y, x) = 0;
      else
        run(int(y), begin, end);
    }
  }

 private:
  BASIN_HD void run(int y, int begin, int end) const {
    const int width = labels.dim[1];
    const int32_t* distance = &column_distance(y, 0);
    int32_t *site = &sites(y, 0), *start = &starts(y, 0), *to = &squared(y, 0);
    const auto height = [=](int x) { return x < begin || x >= end ? int64_t(0) : int64_t(distance[x]) * distance[x]; };
    const auto cost = [=](int x, int from) { return int64_t(x - from) * (x - from) + height(from); };
    int top = -1;
    for (int x = begin > 0 ? begin - 1 : begin; x < (end < width ? end + 1 : width); ++x) {
      if (x >= begin && x < end && distance[x] >= unreachable) continue;
      while (top >= 0 && cost(start[top], site[top]) > cost(start[top], x))
        --top;
      int64_t from = begin;
      if (top >= 0) {  // the top site is not farther than x at start[top], so that x can only be nearer after that
        const int64_t s = site[top];
        from = (int64_t(x) * x - s * s + height(x) - height(site[top])) / (2 * (x - s)) + 1;
      }
      if (from >= end) continue;
      ++top;
      site[top] = x;
      start[top] = int32_t(from);
    }
    for (int x = end - 1; x >= begin; --x) {
      const int64_t nearest = top < 0 ? no_other_pixel : cost(x, site[top]);
      to[x] = top < 0 || nearest < no_other_pixel ? int32_t(nearest) : no_other_pixel - 1;
      if (top >= 0 && x == start[top]) --top;
    }
  }
};

}  // namespace

void edt_squared(const Exec& exec, View<const int32_t, 2> labels, View<int32_t, 2> squared) {
  const int height = labels.dim[0], width = labels.dim[1];
  BASIN_CHECK(squared.dim[0] == height && squared.dim[1] == width, "labels ", labels, ", squared ", squared);
  BASIN_CHECK(height < unreachable && width < unreachable, "labels ", labels);
  if (labels.size() == 0) return;
  Temp<int32_t> memory(exec, labels.size()), envelope(exec, int64_t(2) * height * (width + 2));
  const View<int32_t, 2> distance{memory.data(), {height, width}}, sites{envelope.data(), {height, width + 2}};
  const View<int32_t, 2> starts{envelope.data() + sites.size(), {height, width + 2}};
  const int block = exec.device == Device::cpu ? 64 : 1;
  for_each_in_groups(exec, (width + block - 1) / block, 1, ColumnDistance{labels, block, distance});
  for_each_in_groups(exec, height, 1, RowEnvelope{labels, distance, sites, starts, squared});
}

}  // namespace basin::kernels

#include "kernels/image/components.h"

#include "kernels/image/components_runs.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"
#include "kernels/runtime/union_find.h"

namespace basin::kernels {
namespace {

/// labels serves as the union-find of pixels until the end.
struct Separate {
  const uint8_t* mask;
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const { labels[i] = mask[i] ? int32_t(i) : -1; }
};

/// Unites a pixel with its neighbours of lower index.
struct UnitePixels {
  View<const uint8_t, 2> mask;
  bool diagonals;
  UnionFind sets;

  BASIN_HD void operator()(int64_t pixel) const {
    if (!mask.data[pixel]) return;
    const int32_t i = int32_t(pixel), width = mask.dim[1], y = i / width, x = i % width;
    if (x > 0) unite_if_set(i, i - 1);
    if (y == 0) return;
    unite_if_set(i, i - width);
    if (!diagonals) return;
    if (x > 0) unite_if_set(i, i - width - 1);
    if (x + 1 < width) unite_if_set(i, i - width + 1);
  }
  BASIN_HD void unite_if_set(int32_t i, int32_t other) const {
    if (mask.data[other]) sets.unite(i, other);
  }
};

struct Flatten {
  UnionFind sets;

  BASIN_HD void operator()(int64_t i) const {
    if (sets.parent[i] >= 0) sets.parent[i] = sets.root(int32_t(i));
  }
};

struct Renumber {
  const int32_t* number;
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const { labels[i] = labels[i] < 0 ? 0 : number[labels[i]] + 1; }
};

}  // namespace

int64_t components(const Exec& exec, View<const uint8_t, 2> mask, int connectivity, View<int32_t, 2> labels) {
  BASIN_CHECK(mask.dim[0] == labels.dim[0] && mask.dim[1] == labels.dim[1], "mask ", mask, ", labels ", labels);
  BASIN_CHECK(mask.size() <= INT32_MAX, "mask ", mask);
  if (connectivity != 4 && connectivity != 8) refuse("connectivity = ", connectivity, ": expected 4 or 8");
  if (mask.size() == 0) return 0;
  if (exec.device == Device::cpu && exec.variant == Variant::automatic)
    return components_by_runs(exec, mask, connectivity == 8, labels);
  const int n = int(mask.size());
  Temp<int32_t> number(exec, n);
  const UnionFind sets{labels.data};
  for_each(exec, n, Separate{mask.data, labels.data});
  for_each(exec, n, UnitePixels{mask, connectivity == 8, sets});
  for_each(exec, n, Flatten{sets});
  for_each(exec, n, MarkRoots{labels.data, number.data()});
  const int64_t count = exclusive_sum(exec, {number.data(), {n}});
  for_each(exec, n, Renumber{number.data(), labels.data});
  return count;
}

}  // namespace basin::kernels

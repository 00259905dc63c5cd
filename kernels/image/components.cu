#include "kernels/image/components.h"

#include "kernels/image/components_runs.h"
#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"
#include "kernels/runtime/sort.h"
#include "kernels/runtime/union_find.h"

namespace basin::kernels {
namespace {

/// Whether two neighbours, the first of which is not 0, belong together: in a mask if the other one is not 0 either, in
/// a label image if both have the same label.
BASIN_HD inline bool connected(uint8_t, uint8_t other) { return other != 0; }
BASIN_HD inline bool connected(int32_t label, int32_t other) { return label == other; }

/// labels is used as the union-find of pixels until the end.
template <class Pixel>
struct Separate {
  const Pixel* image;
  int32_t* labels;

  BASIN_HD void operator()(int64_t i) const { labels[i] = image[i] ? int32_t(i) : -1; }
};

/// Unites a pixel with its neighbours of lower index.
template <class Pixel>
struct UnitePixels {
  View<const Pixel, 2> image;
  bool diagonals;
  UnionFind sets;

  BASIN_HD void operator()(int64_t pixel) const {
    if (!image.data[pixel]) return;
    const int32_t i = int32_t(pixel), width = image.dim[1], y = i / width, x = i % width;
    if (x > 0) unite_if_connected(i, i - 1);
    if (y == 0) return;
    unite_if_connected(i, i - width);
    if (!diagonals) return;
    if (x > 0) unite_if_connected(i, i - width - 1);
    if (x + 1 < width) unite_if_connected(i, i - width + 1);
  }
  BASIN_HD void unite_if_connected(int32_t i, int32_t other) const {
    if (connected(image.data[i], image.data[other])) sets.unite(i, other);
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

template <class Pixel>
void check_components(View<const Pixel, 2> image, int connectivity, View<int32_t, 2> labels) {
  BASIN_CHECK(image.dim[0] == labels.dim[0] && image.dim[1] == labels.dim[1], "image ", image, ", labels ", labels);
  BASIN_CHECK(image.size() <= INT32_MAX, "image ", image);
  if (connectivity != 4 && connectivity != 8) refuse("connectivity = ", connectivity, ": expected 4 or 8");
}

template <class Pixel>
int64_t components_by_pixels(const Exec& exec, View<const Pixel, 2> image, bool diagonals, View<int32_t, 2> labels) {
  const int n = int(image.size());
  Temp<int32_t> number(exec, n);
  const UnionFind sets{labels.data};
  for_each(exec, n, Separate<Pixel>{image.data, labels.data});
  for_each(exec, n, UnitePixels<Pixel>{image, diagonals, sets});
  for_each(exec, n, Flatten{sets});
  for_each(exec, n, MarkRoots{labels.data, number.data()});
  const int64_t count = exclusive_sum(exec, {number.data(), {n}});
  for_each(exec, n, Renumber{number.data(), labels.data});
  return count;
}

}  // namespace

int64_t components(const Exec& exec, View<const uint8_t, 2> mask, int connectivity, View<int32_t, 2> labels) {
  check_components(mask, connectivity, labels);
  if (mask.size() == 0) return 0;
  if (exec.device == Device::cpu && exec.variant == Variant::automatic)
    return components_by_runs(exec, mask, connectivity == 8, labels);
  return components_by_pixels(exec, mask, connectivity == 8, labels);
}

int64_t components_of_labels(const Exec& exec, View<const int32_t, 2> image, int connectivity,
                             View<int32_t, 2> labels) {
  check_components(image, connectivity, labels);
  if (image.size() == 0) return 0;
  if (exec.device == Device::cpu && exec.variant == Variant::automatic)
    return components_of_labels_by_runs(exec, image, connectivity == 8, labels);
  return components_by_pixels(exec, image, connectivity == 8, labels);
}

}  // namespace basin::kernels

#include "tools/results/large_labels.h"

#include "data/files/labels.h"

namespace basin::tools {

std::vector<ObjectExtent> resize_labels(const PlaneFile& from, int from_height, int from_width, PlaneFile& to,
                                        int height, int width, int objects) {
  std::vector<ObjectExtent> extents(static_cast<size_t>(objects));
  std::vector<int32_t> row(static_cast<size_t>(from_width)), resized(static_cast<size_t>(width));
  for (int y = 0; y < height; ++y) {
    from.read(0, {nearest_source(y, from_height, height), 0, 1, from_width}, row.data());
    for (int x = 0; x < width; ++x) {
      const int32_t id = resized[size_t(x)] = row[size_t(nearest_source(x, from_width, width))];
      if (id > 0) extents[size_t(id) - 1].add(y, x);
    }
    to.write(0, {y, 0, 1, width}, resized.data(), width);
  }
  return extents;
}

std::vector<int32_t> number_kept(const ObjectFilter& filter, int height, int width, std::vector<ObjectExtent>& objects,
                                 Dropped& dropped) {
  std::vector<int32_t> numbers(objects.size() + 1);
  size_t kept = 0;
  for (size_t k = 0; k < objects.size(); ++k) {
    const ObjectExtent o = objects[k];
    const bool at_edge = o.y0 == 0 || o.x0 == 0 || o.y1 == height || o.x1 == width;
    if (o.area == 0 || count_dropped(filter, at_edge, o.area, dropped)) continue;
    objects[kept++] = o;
    numbers[k + 1] = int32_t(kept);
  }
  objects.resize(kept);
  return numbers;
}

}  // namespace basin::tools

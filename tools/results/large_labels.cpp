#include "tools/results/large_labels.h"

#include "data/dataset/fill_holes.h"
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

void copy_labels(const PlaneFile& from, int height, int width, PlaneFile& to) {
  std::vector<int32_t> row(static_cast<size_t>(width));
  for (int y = 0; y < height; ++y) {
    from.read(0, {y, 0, 1, width}, row.data());
    to.write(0, {y, 0, 1, width}, row.data(), width);
  }
}

void renumber_labels(PlaneFile& file, int height, int width, const std::vector<int32_t>& numbers) {
  std::vector<int32_t> row(static_cast<size_t>(width));
  for (int y = 0; y < height; ++y) {
    file.read(0, {y, 0, 1, width}, row.data());
    for (int32_t& id : row)
      id = numbers[size_t(id)];
    file.write(0, {y, 0, 1, width}, row.data(), width);
  }
}

void fill_holes_in_file(PlaneFile& file, std::vector<ObjectExtent>& objects, int64_t memory) {
  constexpr int64_t bytes_per_pixel = 20;  // labels, those seen from outside, and the stack of a search
  std::vector<int64_t> areas;
  for (const ObjectExtent& o : objects)
    areas.push_back(o.area > 0 ? box_of(o).pixels() : 0);
  HoleFiller filler;
  std::vector<int32_t> labels;
  for (const int32_t k : filling_order(areas)) {
    ObjectExtent& o = objects[size_t(k) - 1];
    if (o.area == 0) continue;
    const PixelRect box = box_of(o);
    if (box.pixels() > memory / bytes_per_pixel)
      refuse("an object spans ", box.width, " x ", box.height, " pixels from (", box.x, ", ", box.y,
             ") on, too many to fill its holes; raise --max-memory, or leave out --fill-holes");
    labels.resize(size_t(box.pixels()));
    file.read(0, box, labels.data());
    const int64_t filled = filler.fill(k, box.height, box.width, labels.data(), box.width);
    if (filled == 0) continue;
    o.area += filled;
    file.write(0, box, labels.data(), box.width);
  }
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

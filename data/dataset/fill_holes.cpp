#include "data/dataset/fill_holes.h"

#include <algorithm>
#include <numeric>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

struct Box {
  int x0, y0, x1, y1;  // both ends included
  int64_t area() const { return int64_t(x1 - x0 + 1) * (y1 - y0 + 1); }
};

std::vector<Box> boxes_of(const Labels& labels) {
  std::vector<Box> boxes(size_t(labels.count) + 1, Box{labels.width, labels.height, -1, -1});
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      Box& b = boxes[size_t(labels(y, x))];
      b = {std::min(b.x0, x), std::min(b.y0, y), std::max(b.x1, x), std::max(b.y1, y)};
    }
  return boxes;
}

}  // namespace

int64_t HoleFiller::fill(int32_t object, int height, int width, int32_t* labels, int64_t stride) {
  outside_.assign(size_t(width) * size_t(height), 0);
  const auto visit = [&](int y, int x) {
    if (x < 0 || y < 0 || x >= width || y >= height || labels[y * stride + x] == object) return;
    uint8_t& seen = outside_[size_t(y) * size_t(width) + size_t(x)];
    if (!seen) open_.push_back(y * width + x);
    seen = 1;
  };
  for (int x = 0; x < width; ++x)
    visit(0, x), visit(height - 1, x);
  for (int y = 0; y < height; ++y)
    visit(y, 0), visit(y, width - 1);
  while (!open_.empty()) {
    const int y = open_.back() / width, x = open_.back() % width;
    open_.pop_back();
    visit(y - 1, x), visit(y + 1, x), visit(y, x - 1), visit(y, x + 1);
  }
  int64_t filled = 0;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      if (labels[y * stride + x] == 0 && !outside_[size_t(y) * size_t(width) + size_t(x)])
        labels[y * stride + x] = object, ++filled;
  return filled;
}

std::vector<int32_t> filling_order(const std::vector<int64_t>& box_areas) {
  std::vector<int32_t> order(box_areas.size());
  std::iota(order.begin(), order.end(), 1);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return box_areas[size_t(a) - 1] < box_areas[size_t(b) - 1]; });
  return order;
}

Labels fill_holes(const Labels& labels) {
  Labels filled = labels;
  const std::vector<Box> boxes = boxes_of(labels);
  std::vector<int64_t> areas;
  for (size_t k = 1; k < boxes.size(); ++k)
    areas.push_back(boxes[k].area());
  HoleFiller filler;
  for (const int32_t k : filling_order(areas)) {
    const Box& b = boxes[size_t(k)];
    if (b.x1 < b.x0) continue;
    filler.fill(k, b.y1 - b.y0 + 1, b.x1 - b.x0 + 1, &filled.ids[size_t(b.y0) * size_t(labels.width) + size_t(b.x0)],
                labels.width);
  }
  return filled;
}

Planes fill_holes(const Planes& planes) {
  Planes filled{planes.height, planes.width, {}};
  HoleFiller filler;
  for (const auto& object : planes.objects) {
    BASIN_CHECK(!object.empty(), "an object without pixels");
    const int64_t top = object.front().begin / planes.width, bottom = (object.back().end - 1) / planes.width;
    const int rows = int(bottom - top + 1);
    std::vector<int32_t> mask(size_t(rows) * size_t(planes.width));
    for (const Planes::Run& run : object)
      std::fill(mask.begin() + (run.begin - top * planes.width), mask.begin() + (run.end - top * planes.width), 1);
    filler.fill(1, rows, planes.width, mask.data(), planes.width);
    std::vector<Planes::Run>& runs = filled.objects.emplace_back();
    const Planes one = masks_of({rows, planes.width, 1, std::move(mask)});
    for (const Planes::Run& run : one.objects[0])
      runs.push_back({run.begin + top * planes.width, run.end + top * planes.width});
  }
  return filled;
}

}  // namespace basin

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

Labels fill_holes(const Labels& labels) {
  Labels filled = labels;
  const std::vector<Box> boxes = boxes_of(labels);
  std::vector<int32_t> order(size_t(labels.count));
  std::iota(order.begin(), order.end(), 1);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return boxes[size_t(a)].area() < boxes[size_t(b)].area(); });
  std::vector<uint8_t> outside;
  std::vector<int> open;
  for (const int32_t k : order) {
    const Box& b = boxes[size_t(k)];
    if (b.x1 < b.x0) continue;
    const int width = b.x1 - b.x0 + 1, height = b.y1 - b.y0 + 1;
    outside.assign(size_t(width) * size_t(height), 0);
    const auto visit = [&](int y, int x) {
      if (x < 0 || y < 0 || x >= width || y >= height || labels(b.y0 + y, b.x0 + x) == k) return;
      uint8_t& seen = outside[size_t(y) * size_t(width) + size_t(x)];
      if (!seen) open.push_back(y * width + x);
      seen = 1;
    };
    for (int x = 0; x < width; ++x)
      visit(0, x), visit(height - 1, x);
    for (int y = 0; y < height; ++y)
      visit(y, 0), visit(y, width - 1);
    while (!open.empty()) {
      const int y = open.back() / width, x = open.back() % width;
      open.pop_back();
      visit(y - 1, x), visit(y + 1, x), visit(y, x - 1), visit(y, x + 1);
    }
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        int32_t& id = filled.ids[size_t(b.y0 + y) * size_t(labels.width) + size_t(b.x0 + x)];
        if (id == 0 && !outside[size_t(y) * size_t(width) + size_t(x)]) id = k;
      }
  }
  return filled;
}

}  // namespace basin

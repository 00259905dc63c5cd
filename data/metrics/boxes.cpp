#include "data/metrics/boxes.h"

#include <algorithm>
#include <numeric>

namespace basin {
namespace {

double area(int64_t width, int64_t height) { return width > 0 && height > 0 ? double(width * height) : 0; }
double area(const Box& b) { return area(b.right - b.left, b.bottom - b.top); }

}  // namespace

void Box::add(int64_t begin, int64_t end, int64_t width) {
  const int64_t first = begin / width, last = (end - 1) / width;
  // A run that continues in the next row reaches the last column of the one and the first of the other.
  left = std::min(left, first < last ? 0 : int32_t(begin % width));
  right = std::max(right, int32_t(first < last ? width - 1 : (end - 1) % width));
  top = std::min(top, int32_t(first));
  bottom = std::max(bottom, int32_t(last));
}

double box_iou(const Box& a, const Box& b) {
  const double common = area(std::min(a.right, b.right) - std::max(a.left, b.left),
                             std::min(a.bottom, b.bottom) - std::max(a.top, b.top));
  return common > 0 ? common / (area(a) + area(b) - common) : 0;
}

std::vector<BestBox> best_boxes(std::span<const Box> truths, std::span<const Box> predictions) {
  // Sorted by their upper ends: a box that overlaps another begins above its lower end, and at most the largest height
  // above its upper end.
  std::vector<size_t> order(truths.size());
  std::iota(order.begin(), order.end(), size_t(0));
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return truths[a].top < truths[b].top; });
  int32_t tallest = 0;
  for (const Box& t : truths)
    tallest = std::max(tallest, t.bottom - t.top);

  std::vector<BestBox> best;
  for (const Box& p : predictions) {
    BestBox found;
    auto at = std::lower_bound(order.begin(), order.end(), p.top - tallest,
                               [&](size_t k, int32_t top) { return truths[k].top < top; });
    for (; at != order.end() && truths[*at].top <= p.bottom; ++at) {
      const double iou = box_iou(truths[*at], p);
      if (iou > found.iou || (iou > 0 && iou == found.iou && int64_t(*at) < found.index)) found = {int64_t(*at), iou};
    }
    best.push_back(found);
  }
  return best;
}

}  // namespace basin

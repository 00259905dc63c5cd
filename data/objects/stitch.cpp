#include "data/objects/stitch.h"

#include <algorithm>
#include <tuple>

#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// Two objects that share pixels.
struct Overlap {
  int32_t earlier, later;
  int64_t pixels;
};

/// All pairs of objects that share pixels.
std::vector<Overlap> overlaps(const Labels& earlier, const Labels& later) {
  std::vector<Overlap> runs;  // of pixels with the same pair
  for (size_t i = 0; i < later.ids.size(); ++i) {
    const int32_t a = earlier.ids[i], b = later.ids[i];
    if (a == 0 || b == 0) continue;
    if (!runs.empty() && runs.back().earlier == a && runs.back().later == b)
      ++runs.back().pixels;
    else
      runs.push_back({a, b, 1});
  }
  const auto key = [](const Overlap& o) { return std::pair(o.earlier, o.later); };
  std::sort(runs.begin(), runs.end(), [&](const Overlap& a, const Overlap& b) { return key(a) < key(b); });
  std::vector<Overlap> pairs;
  for (const Overlap& run : runs)
    if (!pairs.empty() && key(pairs.back()) == key(run))
      pairs.back().pixels += run.pixels;
    else
      pairs.push_back(run);
  return pairs;
}

}  // namespace

std::vector<int32_t> Stitcher::add(const Labels& plane) {
  std::vector<int32_t> numbers(size_t(plane.count));
  if (!last_.ids.empty()) {
    BASIN_CHECK(plane.height == last_.height && plane.width == last_.width, plane.height, " x ", plane.width, " after ",
                last_.height, " x ", last_.width);
    const std::vector<int64_t> before = areas_of(last_), now = areas_of(plane);
    struct Candidate {
      double iou;
      int32_t number, earlier, later;
    };
    std::vector<Candidate> candidates;
    for (const Overlap& o : overlaps(last_, plane)) {
      const double both = double(before[size_t(o.earlier)] + now[size_t(o.later)] - o.pixels);
      if (const double iou = double(o.pixels) / both; iou >= threshold_)
        candidates.push_back({iou, last_numbers_[size_t(o.earlier) - 1], o.earlier, o.later});
    }
    std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tuple(-a.iou, a.number, a.later) < std::tuple(-b.iou, b.number, b.later);
    });
    std::vector<bool> taken(size_t(last_.count) + 1);
    for (const Candidate& c : candidates) {
      if (taken[size_t(c.earlier)] || numbers[size_t(c.later) - 1] != 0) continue;
      taken[size_t(c.earlier)] = true;
      numbers[size_t(c.later) - 1] = c.number;
    }
  }
  for (int32_t& number : numbers)
    if (number == 0) number = ++highest_;
  last_ = plane, last_numbers_ = numbers;
  return numbers;
}

}  // namespace basin

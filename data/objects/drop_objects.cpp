#include "data/objects/drop_objects.h"

#include "data/dataset/fill_holes.h"

namespace basin {

bool count_dropped(const ObjectFilter& filter, bool at_edge, int64_t area, Dropped& dropped) {
  const bool drops_edge = filter.exclude_edges && at_edge, is_small = area < filter.min_size;
  const bool is_large = filter.max_size > 0 && area > filter.max_size;
  if (drops_edge)
    ++dropped.at_edge;
  else if (is_small)
    ++dropped.too_small;
  else if (is_large)
    ++dropped.too_large;
  return drops_edge || is_small || is_large;
}

Dropped drop_objects(const ObjectFilter& filter, Labels& labels, std::vector<int32_t>& kept) {
  if (filter.fill_holes) labels = fill_holes(labels);
  std::vector<int64_t> area(size_t(labels.count) + 1);
  std::vector<bool> at_edge(area.size());
  for (int y = 0; y < labels.height; ++y)
    for (int x = 0; x < labels.width; ++x) {
      const size_t id = size_t(labels(y, x));
      ++area[id];
      if (y == 0 || x == 0 || y + 1 == labels.height || x + 1 == labels.width) at_edge[id] = true;
    }
  Dropped dropped;
  std::vector<int32_t> number(area.size());
  kept.clear();
  for (size_t id = 1; id < area.size(); ++id) {
    if (count_dropped(filter, at_edge[id], area[id], dropped)) continue;
    kept.push_back(int32_t(id));
    number[id] = int32_t(kept.size());
  }
  labels.count = int(kept.size());
  if (dropped.total() == 0) return dropped;
  for (int32_t& id : labels.ids)
    id = number[size_t(id)];
  if (filter.fill_holes) labels = fill_holes(labels);  // those in which an object was dropped
  return dropped;
}

void check(const ObjectFilter& filter) {
  if (filter.max_size > 0 && filter.max_size < filter.min_size)
    refuse("--max-size ", filter.max_size, ": expected at least --min-size ", filter.min_size);
}

}  // namespace basin

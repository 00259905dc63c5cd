#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// Which objects to keep, and whether their holes are filled first.
struct ObjectFilter {
  int64_t min_size = 0;        // smaller objects are dropped, px
  int64_t max_size = 0;        // larger objects are dropped, px; 0: none
  bool exclude_edges = false;  // objects with a pixel in the outermost rows or columns are dropped
  bool fill_holes = false;     // before sizes are compared, and where objects were dropped

  bool does_anything() const { return min_size > 1 || max_size > 0 || exclude_edges || fill_holes; }
};

/// The number of dropped objects by reason; an object with several reasons is counted for the first.
struct Dropped {
  int64_t at_edge = 0, too_small = 0, too_large = 0;

  int64_t total() const { return at_edge + too_small + too_large; }
};

/// Whether a filter drops an object; if so, counts it. `area` after holes are filled.
bool count_dropped(const ObjectFilter&, bool at_edge, int64_t area, Dropped&);

/// Applies a filter to labels; the objects that are left are renumbered to 1, 2, ... in their order. `kept`: the
/// earlier numbers of the objects that are left.
Dropped drop_objects(const ObjectFilter&, Labels&, std::vector<int32_t>& kept);

/// Throws if no object can have a size that the filter keeps.
void check(const ObjectFilter&);

}  // namespace basin

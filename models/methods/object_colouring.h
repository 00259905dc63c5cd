#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// Objects of a label image that lie near each other, within kernels::adjacency's disc; the background is none of them.
/// Memory grows with the square of the number of objects, at a bit for each two.
struct ObjectGraph {
  struct Edge {
    int32_t to;     // from 0: object id - 1
    bool touching;  // the two have pixels that are neighbours, across corners too
  };
  std::vector<std::vector<Edge>> edges;  // of each object, in increasing order
};
ObjectGraph object_graph(const Labels&, double radius);

/// A colour from 0 to colours - 1 for each object, such that few neighbours share one, and fewer still that touch: by
/// saturation (Brelaz 1979), then by exchanging two colours along Kempe chains as long as that resolves a conflict. The
/// same from run to run.
std::vector<int> colour_objects(const ObjectGraph&, int colours);

/// How many pairs of neighbours share a colour, and how many of these touch.
struct ColourConflicts {
  int near = 0, touching = 0;
};
ColourConflicts colour_conflicts(const ObjectGraph&, const std::vector<int>& colour);

}  // namespace basin

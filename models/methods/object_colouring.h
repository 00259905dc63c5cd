#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// A graph of the objects of a label image, without the background, that are neighbours within kernels::adjacency's
/// disc. Memory grows with the square of the number of objects, at one bit per pair.
struct ObjectGraph {
  struct Edge {
    int32_t to;     // object id - 1
    bool touching;  // the objects have 8-connected neighbouring pixels
  };
  std::vector<std::vector<Edge>> edges;  // of each object, in increasing order
};
ObjectGraph object_graph(const Labels&, double radius);

/// A colour from 0 to colours - 1 for each object, such that few neighbours, and even fewer touching ones, share a
/// colour: by saturation (Brelaz 1979), then by exchanging two colours along Kempe chains as long as that resolves a
/// conflict. Deterministic.
std::vector<int> colour_objects(const ObjectGraph&, int colours);

/// A colour from 0 to colours - 1 for each object, by a rule that a network can learn, because it depends only on
/// objects that begin above an object, or left of it in the same row: in raster order of their first pixels, objects
/// get the lowest colour that no neighbour has yet; if all are taken, the one that the fewest neighbours have, above
/// all touching ones. More neighbours share a colour than with colour_objects().
std::vector<int> colour_in_raster_order(const Labels&, const ObjectGraph&, int colours);

/// The number of neighbouring pairs that share a colour, and how many of these touch.
struct ColourConflicts {
  int near = 0, touching = 0;
};
ColourConflicts colour_conflicts(const ObjectGraph&, const std::vector<int>& colour);

}  // namespace basin

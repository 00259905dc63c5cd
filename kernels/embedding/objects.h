#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The objects of N crops, up to K in each, in device memory: work on them needs no count on the host, so it can be
/// captured as a graph. Object k of labels [N, L, H, W] has index k - 1 here. Objects that share pixels lie in
/// different ones of the L layers, and all pixels of an object in the same.
struct ObjectTable {
  View<int32_t, 2> area;   // [N, K] px; 0: no pixel has this label
  View<int32_t, 3> box;    // [N, K, 4]: first x, first y, last x, last y; undefined if the area is 0
  View<int32_t, 2> layer;  // [N, K]; 0 if the area is 0
  View<int32_t, 1> count;  // [N]: the largest label, which for compact labels is the number of objects; -1 if above K

  BASIN_HD int capacity() const { return area.dim[1]; }
};

/// Fills the table from labels [N, L, H, W]: 0 and below is background. Integer arithmetic: the same on any device.
void object_table(const Exec&, View<const int32_t, 4> labels, const ObjectTable&);

enum class CentreKind {
  medoid,              // the pixel with the least sum of distances to all pixels of the object
  approximate_medoid,  // the pixel nearest to the medians of x and of y
  centroid             // the pixel nearest to the mean, each coordinate rounded, halves to even
};

/// centre [N, K, 2] (x, y in px, pixel centres at integers) of each object (Lalit et al., EmbedSeg, Medical Image
/// Analysis 81 (2022)). Of several best pixels the first in raster order; sums of distances that agree to ten digits
/// count as equal. If the rounded mean lies outside the object, the centre is the mean itself. Objects may consist of
/// several pieces. (0, 0) if there is no object. The medoid is exact: sums of distances are convex, so each computed
/// one gives a lower bound for all others, and few pixels have to be tried.
void object_centres(const Exec&, View<const int32_t, 4> labels, const ObjectTable&, CentreKind, View<double, 3> centre);

}  // namespace basin::kernels

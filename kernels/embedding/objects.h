#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// The objects of N crops, up to K of each, in device memory: work on them needs no count on the host, so that it can
/// be recorded as a graph. Object k of labels [N, H, W] has index k - 1 here.
struct ObjectTable {
  View<int32_t, 2> area;   // [N, K] px; 0: no pixel has this label
  View<int32_t, 3> box;    // [N, K, 4]: first x, first y, last x, last y; of no meaning where the area is 0
  View<int32_t, 1> count;  // [N]: the largest label, which is the number of objects of compact labels; -1 if above K

  BASIN_HD int capacity() const { return area.dim[1]; }
};

/// Fills the table from labels [N, H, W]: 0 and below is background. Integers alone: the same on any device.
void object_table(const Exec&, View<const int32_t, 3> labels, const ObjectTable&);

enum class CentreKind {
  medoid,              // the pixel with the least sum of distances to all pixels of the object
  approximate_medoid,  // the pixel nearest to the medians of x and of y
  centroid             // the pixel nearest to the mean, each coordinate rounded, halves to even
};

/// centre [N, K, 2] (x, y in px, pixel centres at integers) of each object (Lalit et al., EmbedSeg, Medical Image
/// Analysis 81 (2022)). Of several best pixels it is the first in raster order; sums of distances that agree to ten
/// digits count as equal. Where the rounded mean lies outside the object, the centre is the mean itself. Objects may be
/// in pieces. (0, 0) where there is no object. The medoid is exact: sums of distances are convex, so each one that is
/// worked out bounds all others from below, and few pixels have to be tried.
void object_centres(const Exec&, View<const int32_t, 3> labels, const ObjectTable&, CentreKind, View<double, 3> centre);

}  // namespace basin::kernels

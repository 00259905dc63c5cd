#pragma once
#include "kernels/runtime/elementary.h"
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Which objects of a sample are near each other, in tables with a fixed number of slots, see slot_of().
namespace basin::kernels {

/// The number of 32-bit words in a row of neighbours.
constexpr int words_for(int slots) { return (slots + 31) / 32; }

BASIN_HD inline bool is_neighbour(const int32_t* row, int slot) {
  return (uint32_t(row[slot / 32]) >> (slot % 32) & 1u) != 0;
}

struct AdjacencyOptions {
  double radius = 10;      // pixels, above 0 and at most 64; sqrt(2): objects that touch, also at corners
  bool background = true;  // whether the background counts as an object, which is a neighbour of all others
};

/// neighbours [N, slots, words_for(slots)]: bit b of row a, counted from the lowest bit of the first word, is set if
/// the objects a and b of a sample are neighbours: if a pixel of b lies in a disc around a pixel of a, which is
/// symmetric. The disc is OpenCV's ellipse, all offsets with |dy| <= radius and |dx| <= round(radius sqrt(1 - dy^2 /
/// radius^2)), as in W-Net and FCRNet, but without their limit of 32 neighbours. labels [N, H, W] >= 0. The background
/// and any label may be missing; they then have no neighbours. The same on any device at any thread count. Without a
/// round trip to the host.
void adjacency(const Exec&, View<const int32_t, 3> labels, AdjacencyOptions, View<int32_t, 3> neighbours);

}  // namespace basin::kernels

#pragma once
#include "kernels/runtime/exec.h"
#include "kernels/runtime/view.h"

/// Which objects of a sample lie near each other. Tables have a fixed capacity, so that a training step that uses them
/// can be recorded once: row 0 is the background, rows 1 to `capacity` are the objects with these labels, and together
/// they are `slots` = capacity + 1 rows.
namespace basin::kernels {

/// The row of a label in such a table. An object beyond the capacity is background.
BASIN_HD inline int slot_of(int32_t label, int slots) { return label < slots ? label : 0; }

/// 32-bit words in a row of neighbours.
constexpr int words_for(int slots) { return (slots + 31) / 32; }

BASIN_HD inline bool is_neighbour(const int32_t* row, int slot) {
  return (uint32_t(row[slot / 32]) >> (slot % 32) & 1u) != 0;
}

struct AdjacencyOptions {
  double radius = 10;      // pixels, above 0 and at most 64; the square root of 2: objects that touch, corners included
  bool background = true;  // whether the background counts as an object, which is a neighbour of every other
};

/// neighbours [N, slots, words_for(slots)]: bit b of row a, from the lowest bit of the first word, tells whether the
/// objects a and b of a sample are neighbours, which is symmetric: whether a pixel of b lies in a disc around a pixel
/// of a. The disc is OpenCV's ellipse, all offsets with |dy| <= radius and
/// |dx| <= round(radius sqrt(1 - dy^2 / radius^2)); as the relation of W-Net and FCRNet, but without their limit of 32
/// neighbours.
/// labels [N, H, W] >= 0. dropped [N] receives how many labels lie above the capacity, where labels are 1, 2, ...
/// without gaps. Neither label images without background nor labels that are missing need care: what has no pixel has
/// no neighbour. The same on any device at any thread count. The host does not wait.
void adjacency(const Exec&, View<const int32_t, 3> labels, AdjacencyOptions, View<int32_t, 3> neighbours,
               View<int32_t, 1> dropped);

}  // namespace basin::kernels

#pragma once
#include <vector>

#include "data/synth/synth.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// The cells in an image of SynthKind::colony. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// The cells of one image and their surroundings, in image coordinates.
struct Culture {
  std::vector<Body> cells;
  std::vector<Body> walls;  // interiors of mother-machine channels
  double radius = 4;        // of a typical cell, px
  bool thin_lines = false;  // cells have stalks, so no unlabelled fibre may lie beside them
};
/// Draws a strain (sizes, curvature) and an arrangement of its cells: a colony, bundles, chains, channels or a sparse
/// field. A shape other than `any` restricts the choice.
Culture culture(const SynthOptions&, Random&);

}  // namespace basin::synth

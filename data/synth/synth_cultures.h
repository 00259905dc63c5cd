#pragma once
#include <vector>

#include "data/synth/synth.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// What grows in an image of SynthKind::colony. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// Cells of one image and what surrounds them, in image coordinates.
struct Culture {
  std::vector<Body> cells;
  std::vector<Body> walls;  // hollows of mother-machine channels
  double radius = 4;        // of a typical cell, px
  bool thin_lines = false;  // cells have stalks, so no fibre may lie beside them unlabelled
};
/// Draws a strain (sizes, curvature) and where its cells lie: a colony, bundles, chains, channels or a sparse field. A
/// shape other than any restricts the choice.
Culture culture(const SynthOptions&, Random&);

}  // namespace basin::synth

#pragma once
#include <vector>

#include "data/files/image.h"
#include "data/synth/synth.h"
#include "data/synth/synth_microscope.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// The random choices behind an image of SynthKind::colony. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// Cells of one image and what surrounds them, in image coordinates.
struct Culture {
  std::vector<Body> cells;
  std::vector<Body> walls;  // hollows of mother-machine channels
  double radius = 4;        // of a typical cell, px
  bool thin_lines = false;  // cells have stalks, so no fibre may lie beside them unlabelled
};
/// `shape` other than any restricts what grows.
Culture culture(const SynthOptions&, Random&);

/// The culture seen through a microscope and a camera whose parameters are drawn at random.
Synthetic photograph(const SynthOptions&, const Culture&, int index, Random&);

}  // namespace basin::synth

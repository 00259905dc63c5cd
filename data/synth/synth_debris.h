#pragma once
#include "data/synth/synth_optics.h"
#include "kernels/runtime/philox.h"

// What lies in the field of view besides the objects. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// Counts are per field of view.
struct DebrisOptions {
  double radius = 4;      // of a typical cell, px
  int specks = 0;         // dust in focus: small disks
  int rings = 0;          // dust and bubbles out of focus: concentric fringes
  int ghosts = 0;         // cells out of focus
  int fibres = 0;         // thin winding lines
  double strength = 0.5;  // of all debris
  bool positive = false;  // only adds light: no part is negative
};
/// [height][width]; 1 is the middle of a typical cell.
Plane debris(int height, int width, const DebrisOptions&, Random&);

}  // namespace basin::synth

#pragma once
#include <vector>

#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// Positions of the bodies of a synthetic image. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// The largest depth by which disks of different bodies overlap, px; 0 if none do.
double overlap(const std::vector<Body>&);

/// As above, between `body` and any of `others`.
double overlap_with(const std::vector<Body>& others, const Body& body);

/// Pushes overlapping bodies apart as rigid bodies, along the line between overlapping disks and according to mass and
/// moment of inertia, for at most `passes` sweeps or until no overlap exceeds `tolerance` px. The order of work is
/// fixed.
void push_apart(std::vector<Body>&, int passes, double tolerance);

/// Removes bodies, later ones first, until no overlap exceeds `fraction` of the smaller disk's radius.
void remove_overlapping(std::vector<Body>&, double fraction);

struct ColonyOptions {
  int cells = 40;               // stop when this many have their centre in the image
  int colonies = 2;             // founder cells
  int size = 256;               // of the image, px
  double radius = 4;            // mean, px
  double length = 32;           // mean tip-to-tip length at division, px
  double curvature = 0;         // mean, radians per px
  std::vector<Point> founders;  // positions of the founder cells; empty: `colonies` random ones
  double late = 0;              // fraction of the cells that divide only at 1.5 to 4 times the length
  double slack = 0.1;           // final overlap that is allowed, px
  double kink = 0.12;           // largest angle between a daughter cell and her mother, radians
};

/// Microcolonies grown from single cells: cells lengthen, divide in the middle at an individual length and push each
/// other. Cells close to division have a waist. `fixed` bodies (filaments, branching cells) lie among them and are
/// pushed too.
std::vector<Body> grow(const ColonyOptions&, std::vector<Body> fixed, Random&);

}  // namespace basin::synth

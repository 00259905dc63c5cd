#pragma once
#include <vector>

#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// Where the bodies of a synthetic image lie. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// The largest depth by which disks of different bodies overlap, px; 0 where nothing does.
double overlap(const std::vector<Body>&);

/// As above, between `body` and any of `others`.
double overlap_with(const std::vector<Body>& others, const Body& body);

/// Pushes overlapping bodies apart as rigid bodies, along the line between overlapping disks and in proportion to mass
/// and moment of inertia, for at most `passes` sweeps or until no overlap exceeds `tolerance` px. Order of work is
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
  std::vector<Point> founders;  // where the founder cells lie; empty: `colonies` random places
  double late = 0;              // share of the cells that divide only at one and a half to four times the length
  double slack = 0.1;           // cells may overlap by so much in the end, px
  double kink = 0.12;           // largest turn of a daughter cell against her mother, radians
};

/// Microcolonies grown from single cells: cells lengthen, divide in the middle at a length of their own and push each
/// other. Cells close to division have a waist. `fixed` bodies (filaments, branching cells) lie among them and are
/// pushed too.
std::vector<Body> grow(const ColonyOptions&, std::vector<Body> fixed, Random&);

}  // namespace basin::synth

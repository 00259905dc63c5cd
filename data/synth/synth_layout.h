#pragma once
#include <vector>

#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// Arrangements of cells other than growing colonies. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// A random position, sometimes slightly outside, so that objects are cut by the border.
Point anywhere(int size, Random&);

/// Adds a body, next to an earlier one with probability `cluster`: at the first of a few random poses whose overlap is
/// small enough to be pushed apart, otherwise at the best of them.
void place(std::vector<Body>&, Body, double cluster, int size, Random&);

/// Rotates all bodies about the origin by `angle` radians, then moves them.
void move(std::vector<Body>&, Point by, double angle);

/// A curve through the origin, defined by its heading in radians at arc length s: curvature s + amplitude (sin(2 pi s /
/// wavelength + phase) - sin(phase)).
struct Bend {
  double curvature = 0;  // radians per px
  double amplitude = 0;  // radians
  double wavelength = 200, phase = 0;
};
/// Bends the plane so that the x axis becomes the curve: the point (x, y) goes to the curve's point at arc length x
/// plus y times its normal there. Widths across the curve are kept; lengths at distance y are stretched by 1 - y times
/// the curvature, so y times the curvature should stay below 0.5. Radii are kept.
void bend(std::vector<Body>&, const Bend&);

/// Rows of cells side by side and end to end, like bacteria that grow in parallel between agarose and glass.
struct RaftOptions {
  int rows = 4;
  double row_length = 150;      // mean, px
  double radius = 4;            // mean, px
  double radius_spread = 0.04;  // relative
  double length = 24;           // median tip-to-tip length of the cells, px
  double length_spread = 0.3;   // natural logarithm
  double gap = 0.2;             // mean gap between the ends of two cells of a row, in radii
  double missing = 0.03;        // fraction of the cells that are left out
  double taper = 0;             // how much shorter the outer rows are, 0 to 1
};
/// Centred on the origin, rows along x.
std::vector<Body> raft(const RaftOptions&, Random&);

/// Cocci in contact along a winding path; some are dividing, and then have a waist.
struct ChainOptions {
  int cells = 8;
  double radius = 4;            // mean, px
  double radius_spread = 0.06;  // relative
  double dividing = 0.3;        // fraction of the cells
  double winding = 0.5;         // standard deviation of the turn from one cell to the next, radians
};
/// Begins at the origin, along x.
std::vector<Body> chain(const ChainOptions&, Random&);

/// The channels of a mother machine: parallel, closed at one end, each with one file of cells.
struct ChannelOptions {
  int channels = 6;
  double spacing = 30;              // px
  double length = 150, width = 10;  // of a channel, px
  double radius = 4;                // of the cells, px
  double cell_length = 24;          // median, px
  double length_spread = 0.25;      // natural logarithm
  double filling = 0.9;             // share of a channel's length with cells
};
struct Channels {
  std::vector<Body> cells, walls;  // walls: the hollow of each channel
};
/// Centred on the origin, channels along x.
Channels channels(const ChannelOptions&, Random&);

/// A curved rod with a thin stalk that leaves one pole and winds, as Caulobacter has.
struct StalkShape {
  double length = 60, radius = 1.5;  // px
  double winding = 0.15;             // standard deviation of the turn over `radius` px of stalk, radians
};
Body stalked_rod(const RodShape&, const StalkShape&, Random&);

/// The parts of a cell that hold its nucleoids: pieces of its spine, thinner than the cell.
/// `thickness`: radius relative to the cell's. `spacing`: one nucleoid per so many radii of spine, at least one.
std::vector<Body> nucleoids(const std::vector<Body>& cells, double thickness, double spacing, Random&);

}  // namespace basin::synth

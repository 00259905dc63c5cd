#pragma once
#include <cstdint>
#include <vector>

// The bodies of synthetic images and how they are drawn. Used by data/synth*.cpp and their tests.
namespace basin::synth {

struct Point {
  double x = 0, y = 0;
};
struct Disk {
  Point centre;
  double radius = 0;
};

/// A rigid body: disks, each joined to an earlier one by their common tangents.
struct Body {
  std::vector<Disk> disks;  // in the body's own frame, centroid at the origin
  std::vector<int> joined;  // disks[i] is joined to disks[joined[i]], joined[i] <= i; joined[0] = 0
  Point at;                 // pose: frame -> image
  double angle = 0;         // radians

  /// The disks in image coordinates (pixel centres at integers).
  std::vector<Disk> placed() const;
};

struct RodShape {
  double length = 20;    // along the spine, tip to tip, px; at least 2 radius
  double radius = 4;     // px
  double curvature = 0;  // radians per px
  double waist = 0;      // fraction of the radius that the division septum takes away, 0 to 1
};
Body rod(const RodShape&);

/// A rod with a side branch that leaves the spine at `position` (0 to 1) at an angle of `angle` radians.
struct BranchShape {
  double position = 0.5, angle = 1.2, length = 15;
};
Body branched_rod(const RodShape&, const BranchShape&);

struct WormShape {
  double length = 110, radius = 6;
  double amplitude = 0.6, wavelength = 90, phase = 0;  // of the heading, radians and px
  double curvature = 0;
  bool tapered = true;  // thinner towards both ends, more at the tail; otherwise a filament with round ends
};
Body worm(const WormShape&);

struct NucleusShape {
  double a = 12, b = 9;  // half axes in px, a > b
  double curvature = 0;  // bends the long axis, radians per px
  double egg = 0;        // relative difference in thickness of the two ends, -0.3 to 0.3
  double waist = 0;      // as in RodShape
};
/// An ellipse as the union of the disks on its medial axis, then bent and deformed.
Body nucleus(const NucleusShape&);

/// The optical properties of each pixel.
struct Scene {
  int height = 0, width = 0;
  int count = 0;
  std::vector<int32_t> ids;      // [H][W], 0 background, 1..count in raster order of the first pixel
  std::vector<float> thickness;  // [H][W], px along the optical axis, 0 outside the objects
  std::vector<float> radius;     // [H][W], of the object at the pixel's nearest spine point
};

/// A pixel whose centre lies in several bodies goes to the one it is deepest in, relative to the local radius; on a tie
/// to the earlier one. Of each body the largest 4-connected piece is kept if it has at least `min_area` pixels.
Scene draw(const std::vector<Body>&, int height, int width, int min_area);

/// The square of `size` px that begins at (margin, margin); pieces are kept and numbered as in draw().
Scene crop(const Scene&, int margin, int size, int min_area);

}  // namespace basin::synth

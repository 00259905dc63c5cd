#pragma once
#include <vector>

#include "data/synth/synth_optics.h"
#include "data/synth/synth_shapes.h"
#include "kernels/runtime/philox.h"

// Three microscopes for colonies of bacteria. Used by data/synth*.cpp and their tests.
namespace basin::synth {

/// The specimen; all planes have the scene's size.
struct Specimen {
  Scene scene;
  double radius = 4;  // of a typical cell, px
  Plane nucleoid;     // thickness of the nucleoids, px
  Plane backdrop;     // debris and walls, as phase or light; 1 is the middle of a typical cell
};

/// The amount of cell body above each pixel, 1 in the middle of a typical cell: the thickness of its cytosol, which
/// begins `envelope` px inside the outline (less in thin parts). flatness 1: round cross section; towards 0: a slab.
Plane cytosol(const Scene&, double radius, double envelope, double flatness);

/// Gaussian blur on a coarser grid if sigma is large: within a percent of `blur`, in less time.
Plane wide_blur(const Plane&, double sigma);

/// Zernike's phase contrast. The specimen delays light by a phase p(x); the field behind it is u = exp(i p). The light
/// L that passes through the phase ring is hardly deflected by the specimen: the direct beam and the lowest spatial
/// frequencies, modelled as a blur of u by two Gaussians. The ring dims it to `ring` of its amplitude and shifts it by
/// `shift`; the rest, u - L, passes unchanged. The camera records |u - L + ring exp(i shift) L|^2. The low frequencies
/// in L cause the halo around a whole colony, the shade-off of the cells inside it and the bright gaps between them.
/// (Zernike, Physica 9, 1942; Yin, Kanade, Chen, Medical Image Analysis 16, 2012.)
struct RingOptics {
  double phase = 0.55;                        // in the middle of a typical cell, radians
  double spread = 0.08;                       // of the phase between cells, natural logarithm
  double ring = 0.5;                          // amplitude that the ring lets through
  double shift = -1.5708;                     // radians; negative: dark cells
  double passed = 1;                          // fraction of the low frequencies that pass through the ring
  double narrow = 6, wide = 20, share = 0.5;  // px, px, fraction of the wide Gaussian
  double envelope = 0.7, flatness = 1;        // as in cytosol()
  double nucleoid = -0.2;                     // phase of a nucleoid, relative to the cytosol around it
  double texture = 0.08;                      // of the cytosol
  double agar = 0.03;                         // of the background, radians
  double psf = 1;                             // px
};
/// Light; 1 without a specimen.
Plane ring_phase_contrast(const Specimen&, const RingOptics&, Random&);

/// Defocused bright field: by the transport of intensity the contrast is the curvature of the phase, positive on one
/// side of the focus and negative on the other, here a difference of Gaussians, plus a little absorption. (Teague,
/// Journal of the Optical Society of America 73, 1983.)
struct BrightFieldOptics {
  double defocus = 0.5;     // strength, and by its sign the side of the focus
  double scale = 2;         // width of the fringe, px
  double absorption = 0.1;  // in the middle of a typical cell
  double spread = 0.1;      // between cells, natural logarithm
  double envelope = 0.7, texture = 0.08, agar = 0.02;
  double psf = 1;  // px
};
/// Light; 1 without a specimen.
Plane bright_field(const Specimen&, const BrightFieldOptics&, Random&);

/// Fluorescence: dye in the cytosol, in the membrane (a shell, brightest at the outline) and in the nucleoids, with an
/// amount that varies between cells; a Gaussian point-spread function and out-of-focus haze.
struct StainOptics {
  double cytosol = 1, membrane = 0, nucleoid = 0;  // relative amounts of dye
  double spread = 0.3;                             // of the dye between cells, natural logarithm
  double envelope = 0.5, flatness = 1;
  double shell = 1;       // thickness of the membrane, px
  double texture = 0.08;  // of the dye
  double psf = 1.2;       // px
  double haze = 0.15, haze_sigma = 14;
  double background = 0.05;  // of the brightness of a typical cell
};
/// Light, 1 in the middle of a typical cell.
Plane stained(const Specimen&, const StainOptics&, Random&);

}  // namespace basin::synth

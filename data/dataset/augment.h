#pragma once
#include <string>

#include "kernels/image/symmetry.h"
#include "kernels/runtime/philox.h"

namespace basin {

/// Random augmentation of training samples. For each kind its strength; 0: off.
struct Augmentation {
  // Symmetries and values, drawn for every sample.
  float flip = 1;        // rows with p = 1/4, then columns with p = 1/4
  float rotate = 0;      // by 0, 90, 180 or 270 degrees
  float brightness = 0;  // x gain + offset, gain in 1 +- 0.3 strength, offset in +- 0.1 strength
  float noise = 0;       // Gaussian, standard deviation up to 0.05 strength
  // Warps of the image and its labels; targets are computed from the warped labels.
  float scale = 0;    // p = 1/2: by 2^-strength to 2^strength, log-uniform
  float angle = 0;    // p = 1/2: rotation by +- 180 strength degrees
  float shear = 0;    // p = 1/4: by +- 0.2 strength
  float elastic = 0;  // p = 1/4: smooth displacement by up to 0.2 strength times its spacing of 24 to 64 pixels
  // Changes of values. lo and hi: the smallest and the largest value of a channel of the sample.
  float invert = 0;        // p = 1/10: v becomes lo + hi - v
  float gamma = 0;         // p = 3/10: v between lo and hi to the power 2^-strength to 2^strength, log-uniform
  float illumination = 0;  // p = 2/10: v - lo times a smooth factor within 1 +- 0.5 strength
  float blur = 0;          // p = 2/10: Gaussian, standard deviation 0.3 to 1.5 pixels times strength
  float sharpen = 0;       // p = 2/10: unsharp masking, v plus up to strength times (v - v blurred by 1 pixel)
  float poisson = 0;       // p = 2/10: shot noise of 50 / strength^2 to 1000 / strength^2 photons at hi
  float correlated = 0;    // p = 2/10: smooth noise with grains of 2 to 6 pixels, up to 0.1 strength (hi - lo)
  float cutout = 0;        // p = 2/10: 1 to 3 rectangles set to the mean, sides 1/16 to 1/4 strength of the sample

  bool operator==(const Augmentation&) const = default;
};
/// Parses a list like "flip,rotate,scale:0.5" with items name or name:strength, or "none". "moderate" stands for a list
/// that suits most microscopy images. Throws one sentence that names the wrong item.
Augmentation parse_augmentation(const std::string&);
/// The list in the form that parse_augmentation() reads.
std::string to_string(const Augmentation&);
/// The names of all kinds, for messages.
std::string augmentation_names();

/// One drawn transformation: a symmetry of the square, then values.
struct Transform {
  int rotation = 0;  // quarter turns counter-clockwise, first
  bool flip_rows = false, flip_columns = false;
  float gain = 1, offset = 0, noise = 0;

  /// The source pixel of pixel (y, x) of a transformed square of side `size`.
  void source(int size, int y, int x, int& from_y, int& from_x) const;
};

/// A smooth displacement of the plane: SmoothNoise times `max`, in pixels.
struct SmoothWarp {
  float max = 0, spacing = 32;
  uint64_t key = 0;
};

/// One drawn warp of the image about the middle of the sample. Applied before the symmetry.
struct Warp {
  float scale = 1;  // magnification of the image content
  float angle = 0;  // radians
  float shear = 0;
  SmoothWarp displacement = {};

  bool any() const { return scale != 1 || angle != 0 || shear != 0 || displacement.max > 0; }
};

/// One drawn change of values, in the order of its members.
struct ValueChange {
  bool invert = false;
  float gamma = 1;
  float illumination = 0, illumination_spacing = 1;  // spacing in pixels
  float blur = 0, sharpen = 0;
  float photons = 0;  // 0: no shot noise
  float correlated = 0, grain = 2;
  int cutouts = 0;
  float cutout_side = 0;  // largest side, as a fraction of the sample's
  uint64_t key = 0;       // seed of the smooth functions

  bool any() const;
};

struct Drawn {
  Transform transform;
  Warp warp;
  ValueChange change;
};
/// All numbers are drawn, even for kinds that are off, so that switching one on or off does not change the others.
Drawn draw_augmentation(const Augmentation&, int size, Random&);

/// Maps the pixels of a transformed square of side `size` to their source.
kernels::SquareMap square_map(const Transform&, int size);

}  // namespace basin

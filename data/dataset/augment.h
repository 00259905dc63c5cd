#pragma once
#include <string>

#include "kernels/image/symmetry.h"
#include "kernels/runtime/philox.h"

namespace basin {

/// What is done to a training crop at random, and "none" for nothing.
struct Augmentation {
  bool flip = true;         // rows with p = 1/4, then columns with p = 1/4
  bool rotate = false;      // 0, 90, 180 or 270 degrees
  bool brightness = false;  // x gain + offset, gain in [0.7, 1.3], offset in [-0.1, 0.1]
  bool noise = false;       // Gaussian, standard deviation up to 0.05
};
/// A list like "flip,rotate,brightness,noise", or "none".
Augmentation parse_augmentation(const std::string&);
std::string to_string(const Augmentation&);

/// One drawn transformation: a symmetry of the square, then values.
struct Transform {
  int rotation = 0;  // quarter turns counter-clockwise, first
  bool flip_rows = false, flip_columns = false;
  float gain = 1, offset = 0, noise = 0;

  /// The source pixel of pixel (y, x) of a transformed square of side `size`.
  void source(int size, int y, int x, int& from_y, int& from_x) const;
};
Transform draw_transform(const Augmentation&, Random&);

/// Where the pixels of a transformed square of side `size` come from.
kernels::SquareMap square_map(const Transform&, int size);

}  // namespace basin

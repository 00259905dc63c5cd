#pragma once
#include <string>

#include "kernels/image/symmetry.h"
#include "kernels/runtime/philox.h"
#include "kernels/runtime/view.h"

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

/// A vector at the transformed pixel: F'(p') = A F(p) for the symmetry p' = A p + b.
void transform_vector(const Transform&, float& x, float& y);

/// Where the pixels of a transformed square of side `size` come from.
kernels::SquareMap square_map(const Transform&, int size);

/// A vector field [2, size, size] (x, y) under the symmetry: F'(p') = A F(p). from and to are different memory.
void transform_field(const Transform&, View<const float, 3> from, View<float, 3> to);

}  // namespace basin

#pragma once
#include <array>
#include <vector>

#include "data/files/image.h"

namespace basin {

/// The colour of a direction in an image, parts of red, green and blue from 0 to 1, as pure as can be: red to the
/// right, yellow-green down, cyan to the left, violet up. The length of (x, y) does not matter.
std::array<double, 3> colour_of_direction(double x, double y);

/// A vector field as an RGB picture of 8 bits for viewing, in the colours of colour_of_direction(). The brightness is
/// the length, black for 0 and full for the 99.8 percentile of the lengths, or for 1 if that is longer. field [2,
/// height, width]: x, y.
Image flow_picture(int height, int width, const std::vector<float>& field);

}  // namespace basin

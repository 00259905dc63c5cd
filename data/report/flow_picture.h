#pragma once
#include <vector>

#include "data/files/image.h"

namespace basin {

/// A vector field as an RGB picture of 8 bits for viewing. The hue is the direction: red to the right, yellow-green
/// down, cyan to the left, violet up. The brightness is the length, black for 0 and full for the 99.8 percentile of the
/// lengths, or for 1 if that is longer. field [2, height, width]: x, y.
Image flow_picture(int height, int width, const std::vector<float>& field);

}  // namespace basin

#pragma once
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

/// A picture of a page: the numbers 0 and 255 (8 bits) or 65535 (16 bits) stand for the values `low` and `high`.
struct ViewPicture {
  std::string name;
  Image image;  // 8 or 16 bits, grey or RGB
  double low = 0, high = 0;
  bool stretch = true;  // shown at first between the 0.5 and the 99.8 percentile, otherwise between low and high
};

/// The pictures of an image: one of a grey or RGB image, otherwise one for each channel, by its name if it has one.
/// Integers of 8 and 16 bits are kept. Others are rounded to 65,536 values from their least to their greatest.
std::vector<ViewPicture> pictures_of(const Image&);

/// The pictures of a map of the network, [channels, height, width]: the vector field (x, y) named "field" as one in
/// colour, the hue for its direction (red: to the right; then yellow, green and so on clockwise on the screen) and the
/// brightness for its length, bright from 1 on; otherwise one for each channel. Throws one sentence that begins with
/// `where` if the map has other dimensions or values that are not finite.
std::vector<ViewPicture> pictures_of_map(const std::string& name, const Array& map, const std::string& where);

/// Labels as numbers of 16 bits, or if there are more than 65,535 as RGB with the highest byte in red.
Image label_picture(const Labels&);

}  // namespace basin

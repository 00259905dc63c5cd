#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

/// The colours of objects, which colour-blind readers can tell apart (Okabe and Ito 2008): red, green, blue.
inline constexpr std::array<std::array<uint8_t, 3>, 6> object_palette{
    {{230, 159, 0}, {86, 180, 233}, {0, 158, 115}, {240, 228, 66}, {0, 114, 178}, {204, 121, 167}}};

/// The index in object_palette of the colour of each object, [count + 1]; [0] is not used. Objects within 6 px of each
/// other along a row, column or diagonal get different colours if six suffice. A function of the labels alone.
std::vector<uint8_t> object_colours(const Labels&);

/// An RGB picture of 8 bits for viewing: the image in grey, with its 0.5 to 99.8 percentile stretched to black and
/// white (its full range if these are equal), each object tinted in its colour of object_colours() and outlined, inside
/// its border, in the pure colour. RGB is converted to grey by Rec. 601, two channels by their mean; non-finite values
/// are black. A function of its inputs alone. Throws if the sizes differ.
Image overlay(const Image&, const Labels&);

/// The same without the tint: only the outlines, so that every pixel inside an object can be judged.
Image outlined(const Image&, const Labels&);

/// How the objects of two label images were matched: for each id the id of its partner in the other image, or 0. [0]
/// is not used.
struct MatchedObjects {
  std::vector<int32_t> truth, prediction;
};

/// The image in grey, as above, with errors in colour: matched predicted objects in bluish green, those without a
/// partner (false) in reddish purple, and true objects without a partner (missed) in orange. Objects are tinted, and
/// outlined inside their border in the pure colour; where a missed object lies under a false one, it keeps its outline.
/// Throws if the sizes differ.
Image overlay_errors(const Image&, const Labels& truth, const Labels& prediction, const MatchedObjects&);

}  // namespace basin

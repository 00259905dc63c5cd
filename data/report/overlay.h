#pragma once
#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

/// A picture to look at, RGB, 8 bits: the image in grey, its 0.5 to 99.8 percentile (all its range where these are
/// equal) stretched to black and white, each object tinted in one of six colours that colour-blind readers can tell
/// apart (Okabe and Ito 2008) and outlined, inside its border, by the pure colour. Objects within 6 px of each other
/// along a row, column or diagonal get different colours where six suffice. RGB counts by its Rec. 601 luma, two
/// channels by their mean, non-finite values as black. A function of its inputs alone. Throws where the sizes differ.
Image overlay(const Image&, const Labels&);

}  // namespace basin

#pragma once
#include "data/files/labels.h"

namespace basin {

/// The same objects without holes: background that an object cuts off from the outside of its bounding box, in steps to
/// the four neighbours, becomes the object's. Other objects in a hole stay what they are. Background that several
/// objects enclose goes to the one with the smallest box, the inner one; on a tie to the lower id. What reaches the
/// image's border is no hole.
Labels fill_holes(const Labels&);

}  // namespace basin

#pragma once
#include "data/files/labels.h"

namespace basin {

/// The same objects with their holes filled: background enclosed by an object within its bounding box (4-connected)
/// becomes part of it. Other objects in a hole are unchanged. Background enclosed by several objects goes to the one
/// with the smallest bounding box, the innermost; on a tie to the lower id. Background that reaches the image's border
/// is not a hole.
Labels fill_holes(const Labels&);

}  // namespace basin

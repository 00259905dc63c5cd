#pragma once
// `segment` by several ranks: they take the images from one list, and rank 0 joins what happened to them.
#include <vector>

#include "engine/ranks/ranks.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// Throws one sentence that names the rank if one has another version of Basin or another model than rank 0.
void check_ranks(Ranks&, const Work&);

/// The images of rank 0, on every rank. The largest files come first, so that no rank starts a long one when the others
/// have nothing left to do; those of equal size keep their order.
std::vector<ImageFile> share_images(Ranks&, const std::vector<ImageFile>& of_first);

/// Adds what happened on the other ranks to the outcome of rank 0, except for the notes. Entries are put into the order
/// of `images`, as if one process had segmented them; those of other images stay in front. On the other ranks nothing
/// changes.
void join_outcomes(Ranks&, const std::vector<ImageFile>& images, Outcome&);

}  // namespace basin::tools

#pragma once
#include <vector>

#include "models/block_decoding.h"
#include "models/methods/vector_field_decoding.h"

namespace basin {

/// decode() of an image larger than memory: writes the same labels, with the same numbers, and returns the extents of
/// objects 1, 2, ... The maps are read twice, block by block, with all pixels around a block that can influence its
/// labels:
///
/// 1. The pixels of a block and of its surroundings are moved, and DBSCAN finds the core points among their end points.
///    Connected core points of the block become one cluster, named by its first pixel, in a file. It is noted which
///    core points of earlier blocks are connected to it. No connection is missed, however many blocks an object
///    crosses, because the window of a block contains everything within eps of each core point of the block.
/// 2. When all blocks have done this, clusters that are connected across blocks are united (union-find) and numbered by
///    their smallest core point, as in DBSCAN. The other points get their labels from the core points within eps.
///
/// Blocks do not depend on each other within a pass, so that ranks can share them, and the labels do not depend on how
/// they do. If there are files for records, a block is recorded as soon as its clusters or labels are on the disk: with
/// its clusters and what is connected to them, or with the extents of its parts of objects.
///
/// How far pixels move is bounded by the largest vector of the whole image. Runs on the CPU. Throws one sentence if
/// that vector is not finite, or if the surroundings of a block alone have more than window_pixels.
std::vector<ObjectExtent> decode_in_blocks(const BlockDecoding&, const VectorFieldDecoding&);

/// Why these settings need the whole image at once; empty if they do not.
std::string reason_for_whole_image(const VectorFieldDecoding&);

}  // namespace basin

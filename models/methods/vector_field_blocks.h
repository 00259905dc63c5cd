#pragma once
#include <vector>

#include "models/block_decoding.h"
#include "models/methods/vector_field_decoding.h"

namespace basin {

/// decode() of an image larger than memory: writes the same labels, with the same numbers, and returns the extents of
/// objects 1, 2, ... The maps are read twice, block by block, with as many pixels around each block as can have a part
/// in the labels of its own pixels:
///
/// 1. The pixels of a block and around it are moved, and the core points among their end points are found by DBSCAN.
///    Those of one block that are connected there get one number, and numbers of blocks before that meet the same
///    component become equal to it (union-find). A core point and everything within eps of it are seen together where
///    its own block is, so that no connection is missed, however many blocks an object crosses.
/// 2. Clusters are numbered by their smallest core point, as DBSCAN does. The other points get their labels from the
///    core points within eps.
///
/// Finished blocks are recorded, if there is a file for that, when their clusters or labels are on the disk: the
/// numbers that a block began and made equal, and the extents of its parts of objects.
///
/// How far pixels move is bounded by the largest vector of the whole image. Works on the CPU. Throws one sentence if
/// that is not finite, or if the surroundings of a block alone have more than window_pixels.
std::vector<ObjectExtent> decode_in_blocks(const BlockDecoding&, const VectorFieldDecoding&);

/// Why these settings need the whole image at once; empty if they do not.
std::string reason_for_whole_image(const VectorFieldDecoding&);

}  // namespace basin

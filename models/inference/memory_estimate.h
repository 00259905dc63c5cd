#pragma once
#include "models/method.h"

namespace basin {

/// Bytes that the network needs while it computes a tile of this many pixels.
int64_t network_bytes(const Method&, int64_t tile_pixels);

/// The number of pixels that the network processes at once for an image that it sees at this size: those of the largest
/// exact tile, or those of a batch of overlapping tiles. Throws like exact_tiles.
int64_t tile_pixels(const Method&, const TilingOptions&, int height, int width);

}  // namespace basin

#pragma once
#include "models/method.h"

namespace basin {

/// Bytes that the network needs while it computes a tile of this many pixels.
int64_t network_bytes(const Method&, int64_t tile_pixels);

/// Pixels of the tile of an image that the network sees at this size, or of the tiles that it gets at once, where these
/// overlap. Throws like exact_tiles.
int64_t tile_pixels(const Method&, const TilingOptions&, int height, int width);

}  // namespace basin

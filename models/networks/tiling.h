#pragma once
#include <functional>
#include <vector>

#include "engine/tensor.h"

namespace basin {

/// How a large image is cut for the network. fit takes the whole image where it has at most max_tile_pixels, and
/// otherwise the exact tiles of at most that many, or of more where a network that sees far needs them, with which the
/// fewest pixels are computed; exact takes exact tiles of side `tile`. The others are the published ones: they average
/// overlapping tiles.
enum class Tiling { fit, dynamic, pad, resize, exact };
struct TilingOptions {
  Tiling tiling = Tiling::fit;
  int tile = 256, overlap = 50;  // not of fit
  /// Tiles that the network takes at once; 0: as many as make 2 tiles of 256 x 256 pixels on the CPU and 16 on a GPU,
  /// at least 1. Halved where memory is short.
  int batch = 0;
  int64_t max_tile_pixels = 1024 * 1024;  // of fit
};

/// A network on a batch of tiles [N, C, h, w], h and w multiples of `multiple`: its output maps [N, channels, h, w].
using TileNetwork = std::function<std::vector<Tensor>(const Tensor& tiles)>;

struct NetworkNeeds {
  int multiple = 8;           // of the sides of a tile
  int receptive_radius = 51;  // for Tiling::exact
};

/// Refuses tiles whose side is no multiple of `multiple`, and an overlap that is none, with one sentence.
void check(const TilingOptions&, int multiple);

/// Runs the network tile by tile over an image [C, H, W] of any size and merges its maps into [channels, H, W] each.
/// dynamic, pad and resize average overlapping tiles, trimmed by overlap / 4 on inner sides; vectors
/// of a resized image are scaled back where `is_field` says that a map holds (x, y) in pixels. fit and exact: nothing
/// is averaged, every pixel is taken from a tile that holds its whole receptive field, so that the maps are those of
/// the untiled image, whatever the tiles.
std::vector<Tensor> run_tiled(const Exec&, const Tensor& image, const TilingOptions&, const NetworkNeeds&,
                              const std::vector<bool>& is_field, const TileNetwork&);

/// First pixels of the tiles along a side of `size` >= tile: dynamic overlap, the last one counted twice where
/// size - tile is a multiple of tile - overlap, as published. The network sees such a tile once.
std::vector<int> dynamic_starts(int size, int tile, int overlap);

Tiling parse_tiling(const std::string&);
std::string to_string(Tiling);

}  // namespace basin

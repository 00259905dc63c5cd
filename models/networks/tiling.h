#pragma once
#include <functional>
#include <vector>

#include "engine/plane_file.h"
#include "engine/tensor.h"

namespace basin {

/// How a large image is cut into tiles for the network. fit uses the whole image if it has at most max_tile_pixels.
/// Otherwise it uses exact tiles of at most that many pixels, or more if a network with a large receptive field needs
/// them, and chooses the size with which the fewest pixels are computed. exact uses exact tiles of side `tile`. The
/// others are the published methods, which average overlapping tiles.
enum class Tiling { fit, dynamic, pad, resize, exact };
struct TilingOptions {
  Tiling tiling = Tiling::fit;
  int tile = 256, overlap = 50;  // not used by fit
  /// Tiles per batch; 0: as many as have the pixels of 2 tiles of 256 x 256 on the CPU, or of 16 on a GPU, but at least
  /// 1. Halved when memory runs out.
  int batch = 0;
  int64_t max_tile_pixels = 1024 * 1024;  // used by fit
  /// Called after each batch of tiles with the share of them that the network has got, up to 1; may be empty.
  std::function<void(double share)> progress = {};
};

/// Runs a network on a batch of tiles [N, C, h, w], h and w multiples of `multiple`; returns maps [N, channels, h, w].
using TileNetwork = std::function<std::vector<Tensor>(const Tensor& tiles)>;

struct NetworkNeeds {
  int multiple = 8;           // the sides of a tile are multiples of this
  int receptive_radius = 51;  // for Tiling::exact
};

/// Throws an Error if the side of a tile is no multiple of `multiple`, or if the overlap is invalid.
void check(const TilingOptions&, int multiple);

/// Runs the network tile by tile over an image [C, H, W] of any size and merges its maps into [channels, H, W] each.
/// dynamic, pad and resize average overlapping tiles, trimmed by overlap / 4 on inner sides; maps of a resized image
/// for which `is_field` is set, which contain (x, y) in pixels, are scaled back. fit and exact average nothing: every
/// pixel is taken from a tile that contains its whole receptive field, so that the maps equal those of the untiled
/// image, whatever the tiles.
std::vector<Tensor> run_tiled(const Exec&, const Tensor& image, const TilingOptions&, const NetworkNeeds&,
                              const std::vector<bool>& is_field, const TileNetwork&);

/// An exact tile: the network sees the pixels `seen` of the image, of which some may lie beyond its lower and right
/// side and are 0, and its maps are those of the pixels `own`.
struct ExactTile {
  PixelRect seen, own;
};

/// The tiles with which run_tiled covers an image with Tiling::fit or Tiling::exact, row by row. A tile alone, as one
/// image, gives the same maps.
std::vector<ExactTile> exact_tiles(int height, int width, const TilingOptions&, const NetworkNeeds&);

/// How many tiles of this size the network gets at once.
int tiles_at_once(Device, const TilingOptions&, int64_t tile_height, int64_t tile_width);

/// Starts of the tiles along a side of `size` >= tile: dynamic overlap, with the last tile twice if size - tile is a
/// multiple of tile - overlap, as published. The network predicts such a tile once.
std::vector<int> dynamic_starts(int size, int tile, int overlap);

Tiling parse_tiling(const std::string&);
std::string to_string(Tiling);

}  // namespace basin

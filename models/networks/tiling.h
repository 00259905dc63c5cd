#pragma once
#include <functional>
#include <vector>

#include "engine/plane_file.h"
#include "engine/tensor.h"

namespace basin {

/// How a large image is cut into tiles for the network. fit uses the whole image as one tile if it has at most
/// max_tile_pixels. Otherwise it uses exact tiles of at most that many pixels, or more if a network with a large
/// receptive field needs them, and chooses their size so that the fewest pixels are computed. exact uses exact tiles of
/// side `tile`. The others are the published methods, which average overlapping tiles.
enum class Tiling { fit, dynamic, pad, resize, exact };
struct TilingOptions {
  Tiling tiling = Tiling::fit;
  int tile = 256, overlap = 50;  // not used by fit
  /// Tiles per batch; 0: as many as have together the pixels of 2 tiles of 256 x 256 on the CPU or 16 on a GPU, at
  /// least
  /// 1. Halved when memory runs out.
  int batch = 0;
  int64_t max_tile_pixels = 1024 * 1024;  // used by fit
  /// Called after each batch of tiles with the fraction of the tiles that are done, up to 1; may be empty.
  std::function<void(double share)> progress = {};
};

/// Runs a network on a batch of tiles [N, C, h, w], h and w multiples of `multiple`; returns maps [N, channels, h, w].
using TileNetwork = std::function<std::vector<Tensor>(const Tensor& tiles)>;

struct NetworkNeeds {
  int multiple = 8;           // the sides of a tile are multiples of this
  int receptive_radius = 51;  // for Tiling::exact
};

/// Throws an Error if the side of a tile is not a multiple of `multiple`, or if the overlap is invalid.
void check(const TilingOptions&, int multiple);

/// Runs the network tile by tile over an image [C, H, W] of any size and merges its maps into [channels, H, W] each.
/// dynamic, pad and resize average overlapping tiles, trimmed by overlap / 4 on inner sides; maps of a resized image
/// for which `is_field` is set, which contain (x, y) in pixels, are scaled back. fit and exact average nothing: every
/// pixel is taken from a tile that contains its whole receptive field, so that the maps equal those of the untiled
/// image, whatever the tiles.
std::vector<Tensor> run_tiled(const Exec&, const Tensor& image, const TilingOptions&, const NetworkNeeds&,
                              const std::vector<bool>& is_field, const TileNetwork&);

/// An exact tile: the network sees the pixels `seen` and gives the maps of the pixels `own`. Pixels of `seen` beyond
/// the lower and right sides of the image are 0.
struct ExactTile {
  PixelRect seen, own;
};

/// The tiles of run_tiled with Tiling::fit or Tiling::exact, row by row. A tile has the same maps as an image that
/// consists of this tile alone.
std::vector<ExactTile> exact_tiles(int height, int width, const TilingOptions&, const NetworkNeeds&);

/// The number of tiles of this size in a batch.
int tiles_at_once(Device, const TilingOptions&, int64_t tile_height, int64_t tile_width);

/// Starts of the tiles along a side of `size` >= tile: dynamic overlap, with the last tile twice if size - tile is a
/// multiple of tile - overlap, as published. The network predicts such a tile once.
std::vector<int> dynamic_starts(int size, int tile, int overlap);

Tiling parse_tiling(const std::string&);
std::string to_string(Tiling);

}  // namespace basin

#include "models/inference/memory_estimate.h"

#include <algorithm>

namespace basin {

int64_t network_bytes(const Method& method, int64_t tile_pixels) {
  const MemoryNeeds needs = method.memory_needs();
  return needs.fixed + tile_pixels * needs.per_tile_pixel;
}

int64_t tile_pixels(const Method& method, const TilingOptions& o, int height, int width) {
  const MemoryNeeds needs = method.memory_needs();
  if (needs.frame_pixels > 0) return needs.frame_pixels;
  if (o.tiling == Tiling::fit || o.tiling == Tiling::exact) {
    const std::vector<ExactTile> tiles = exact_tiles(height, width, o, needs.tiles);
    const PixelRect& tile = tiles.front().seen;
    return tile.pixels() *
           std::min(int64_t(tiles.size()), int64_t(tiles_at_once(Device::cpu, o, tile.height, tile.width)));
  }
  const int64_t tile = int64_t(o.tile) * o.tile;
  if (height <= o.tile && width <= o.tile) return tile;
  return tile * tiles_at_once(Device::cpu, o, o.tile, o.tile);
}

}  // namespace basin

#pragma once
#include "kernels/conv/winograd_line.h"
#include "kernels/conv/winograd_square.h"

namespace basin::kernels {
namespace {

bool has_winograd_tiles(const ConvGeometry& g) { return SquareTiles::supports(g) || LineTiles::supports(g); }

/// Calls f.operator()<Tiles>() with the tiles for this geometry.
template <class F>
void with_winograd_tiles(const ConvGeometry& g, const F& f) {
  BASIN_CHECK(has_winograd_tiles(g), "no Winograd tiles for ", g);
  if (LineTiles::supports(g)) return f.template operator()<LineTiles>();
  f.template operator()<SquareTiles>();
}

}  // namespace
}  // namespace basin::kernels

#pragma once
#include <vector>

#include "kernels/image/view_average.h"
#include "models/method.h"

namespace basin {

/// Whether some map means the same in every view of an image, so that views can be averaged.
bool can_average_views(const Method&);

/// The maps of an image [C, H, W] averaged over its eight views: turned by quarters, and each of these mirrored. Every
/// view goes through the network, and its maps are turned back, vectors and extents with their values. Maps of codes
/// are those of the image itself. Takes eight times the time of the network. An equivariant network gives the maps that
/// it gives without.
Maps predict_views(const Exec&, const Method&, const Predictor&, const Tensor& image, const TilingOptions&);

/// Adds one view's map, turned back, to the mean of a map over the eight views, which the first view overwrites. The
/// same for a part of both.
void add_view(const Exec&, const MapSpec&, kernels::SquareSymmetry, const Tensor& map, const Tensor& mean);

/// An exact tile of a view of an image.
struct ViewTile {
  kernels::SquareSymmetry view;
  ExactTile tile;  // in the view
  PixelRect own;   // in the image: the pixels whose maps it gives
};

/// The tiles of an image, of one view after the other, and in each from the top of the image to the bottom. Only those
/// of the image itself unless `all_views`: of both the tiles that predict_views() has.
std::vector<ViewTile> view_tiles(int height, int width, const TilingOptions&, const NetworkNeeds&, bool all_views);

/// The pixels of an image that are the pixels `in_view` of its view. height, width: of the image.
PixelRect before_view(kernels::SquareSymmetry, const PixelRect& in_view, int height, int width);

}  // namespace basin

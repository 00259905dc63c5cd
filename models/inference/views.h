#pragma once
#include <vector>

#include "kernels/image/view_average.h"
#include "models/method.h"

namespace basin {

/// Whether there is a map that can be averaged over the views of an image.
bool can_average_views(const Method&);

/// The maps of an image [C, H, W] averaged over its eight views: its four rotations by multiples of 90 degrees, and the
/// mirror image of each. The network runs on every view, and its maps are turned back; the values of vectors and
/// extents are turned, too. Maps of codes are those of the image itself. Takes eight times as long as without views.
/// For an equivariant network the maps are the same as without.
Maps predict_views(const Exec&, const Method&, const Predictor&, const Tensor& image, const TilingOptions&);

/// Adds a view's map, turned back, to the mean of that map over the eight views; the first view overwrites it. Both may
/// also be the same part of their maps.
void add_view(const Exec&, const MapSpec&, kernels::SquareSymmetry, const Tensor& map, const Tensor& mean);

/// An exact tile of a view of an image.
struct ViewTile {
  kernels::SquareSymmetry view;
  ExactTile tile;  // in the view
  PixelRect own;   // in the image: the pixels whose maps it gives
};

/// The tiles of an image, view by view, and within a view from the top of the image to the bottom. These are the tiles
/// of predict_views(), or without `all_views` those of the image itself.
std::vector<ViewTile> view_tiles(int height, int width, const TilingOptions&, const NetworkNeeds&, bool all_views);

/// The rectangle of the image that becomes `in_view` in its view. height, width: of the image.
PixelRect before_view(kernels::SquareSymmetry, const PixelRect& in_view, int height, int width);

}  // namespace basin

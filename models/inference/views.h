#pragma once
#include "models/method.h"

namespace basin {

/// Whether some map means the same in every view of an image, so that views can be averaged.
bool can_average_views(const Method&);

/// The maps of an image [C, H, W] averaged over its eight views: turned by quarters, and each of these mirrored. Every
/// view goes through the network, and its maps are turned back, vectors and extents with their values. Maps of codes
/// are those of the image itself. Takes eight times the time of the network. An equivariant network gives the maps that
/// it gives without.
Maps predict_views(const Exec&, const Method&, const Predictor&, const Tensor& image, const TilingOptions&);

}  // namespace basin

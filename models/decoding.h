#pragma once
#include <optional>

#include "kernels/dbscan.h"
#include "kernels/divergence.h"
#include "kernels/integrate.h"
#include "kernels/snap_noise.h"
#include "models/method.h"

namespace basin {

/// How the maps of a vector-field network become instances (methods.md 3.7).
struct VectorFieldDecoding {
  double threshold = 0.5;                           // of the foreground probability
  std::optional<kernels::DivergenceRange> rescale;  // of the field before it is followed; none: as the network gave it
  kernels::IntegrateOptions integrate;
  kernels::DbscanOptions dbscan;
  kernels::NoiseRule noise = kernels::NoiseRule::none;
};

/// The foreground of an image, and where its pixels, in raster order, end up.
struct EndPoints {
  Tensor mask;    // u8 [H,W]
  Tensor points;  // f32 [N,2]: x, y
};

/// Thresholds "logit" [1,H,W] and lets the pixels of the foreground follow "field" [2,H,W]. Throws what an image "has"
/// where these are more than can be clustered. Maps that nobody else holds are let go as soon as they are done with.
EndPoints follow(const Exec&, Maps, const VectorFieldDecoding&);

/// Clusters end points, which are let go likewise, into the instances of the image.
Labels cluster(const Exec&, EndPoints, const VectorFieldDecoding&);

}  // namespace basin

#pragma once
#include <optional>

#include "kernels/cluster/dbscan.h"
#include "kernels/cluster/snap_noise.h"
#include "kernels/flow/divergence.h"
#include "kernels/flow/integrate.h"
#include "models/method.h"

namespace basin {

/// How the maps of a vector-field network become instances.
struct VectorFieldDecoding {
  double threshold = 0.5;                           // of the foreground probability
  std::optional<kernels::DivergenceRange> rescale;  // of the field before it is followed; none: as the network gave it
  kernels::IntegrateOptions integrate;
  kernels::DbscanOptions dbscan;
  kernels::NoiseRule noise = kernels::NoiseRule::none;
};

/// The same for maps enlarged by `scale` (see Maps): eps times scale, min_samples times scale^2, at least 1.
VectorFieldDecoding scaled(VectorFieldDecoding, double scale);

/// Whether points end up in the same places under both, so that only the clustering differs.
bool same_flow(const VectorFieldDecoding&, const VectorFieldDecoding&);

/// The instances of an image: thresholds "logit" [1,H,W], lets the pixels of the foreground follow "field" [2,H,W] and
/// clusters where they end up. Throws what an image "has" where these are more points than can be clustered.
/// On the CPU maps that nobody else holds are let go as soon as they are done with. On a GPU the host waits once, for
/// the labels, unless the image is too large for that, points leave it by far, or memory for all pixels at once is
/// short: then it goes in two parts.
Labels decode(const Exec&, Maps, const VectorFieldDecoding&);

/// The foreground of an image, and where its pixels, in raster order, end up.
struct EndPoints {
  Tensor mask;    // u8 [H,W]
  Tensor points;  // f32 [N,2]: x, y
};

/// The first half of decode(), with the number of points known to the host; throws as it does.
EndPoints follow(const Exec&, Maps, const VectorFieldDecoding&);

/// The second half. End points are let go, too, as soon as they are done with.
Labels cluster(const Exec&, EndPoints, const VectorFieldDecoding&);

/// decode() on any device by follow() and cluster(): for what the GPU's own way leaves out, and to compare with.
Labels decode_in_two_parts(const Exec&, Maps, const VectorFieldDecoding&);

}  // namespace basin

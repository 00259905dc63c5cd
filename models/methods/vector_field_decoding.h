#pragma once
#include <optional>

#include "kernels/cluster/dbscan.h"
#include "kernels/cluster/snap_noise.h"
#include "kernels/flow/divergence.h"
#include "kernels/flow/integrate.h"
#include "models/method.h"

namespace basin {

/// Settings for decoding the maps of a vector-field network into instances.
struct VectorFieldDecoding {
  double threshold = 0.5;                           // of the foreground probability
  std::optional<kernels::DivergenceRange> rescale;  // rescaling of the field before integration; none: unchanged
  kernels::IntegrateOptions integrate;
  kernels::DbscanOptions dbscan;
  kernels::NoiseRule noise = kernels::NoiseRule::none;
};

/// The same settings for maps enlarged by `scale` (see Maps): eps times scale, min_samples times scale^2, at least 1.
VectorFieldDecoding scaled(VectorFieldDecoding, double scale);

/// Whether points end at the same positions with both settings, so that only the clustering differs.
bool same_flow(const VectorFieldDecoding&, const VectorFieldDecoding&);

/// The instances of an image: thresholds "logit" [1,H,W], moves foreground pixels along "field" [2,H,W] and clusters
/// their end points. Throws an Error if there are more points than can be clustered. On the CPU each map is freed as
/// soon as it is no longer needed, unless the caller holds it too. On a GPU the host waits once, for the labels, unless
/// the image is too large for that, points end far outside it, or memory does not suffice for all pixels at once: then
/// it is decoded in two parts.
Labels decode(const Exec&, Maps, const VectorFieldDecoding&);

/// The foreground of an image, and the end points of its pixels in raster order.
struct EndPoints {
  Tensor mask;    // u8 [H,W]
  Tensor points;  // f32 [N,2]: x, y
};

/// The first part of decode(), after which the host knows the number of points; throws like decode().
EndPoints follow(const Exec&, Maps, const VectorFieldDecoding&);

/// The second part. End points are freed as soon as they are no longer needed.
Labels cluster(const Exec&, EndPoints, const VectorFieldDecoding&);

/// decode() on any device by follow() and cluster(): for images that decode() cannot process at once on a GPU, and as a
/// reference in tests.
Labels decode_in_two_parts(const Exec&, Maps, const VectorFieldDecoding&);

}  // namespace basin

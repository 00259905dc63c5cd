#pragma once
#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/image/label_filter.h"
#include "kernels/image/peaks.h"

namespace basin {

/// How the maps of W-Net become instances (Wu et al. 2020). The defaults lose less of perfect maps than what was
/// published: a strong smoothing merges the peaks of small objects, and objects at the border have theirs on it.
struct SeedDecoding {
  double sigma = .5;           // of the Gaussian that smooths the distance map, in pixels
  kernels::PeakOptions peaks;  // of the smoothed distance map: the seeds
  int embedding_radius = 3;    // of the disc over which embeddings are averaged, in pixels
  double min_cosine = .7;      // of an embedding with the direction of the seed that takes it
  kernels::WeakLabels weak;    // which regions are dropped, by the smoothed distance map

  /// As the authors' code does it.
  static SeedDecoding published();
  /// As the paper describes it: seeds and embeddings as they are, 45 degrees, and nothing dropped.
  static SeedDecoding paper();
};

/// The instances of an image. distance [1, H, W] is 0 at boundaries of objects and on the background, and large inside
/// objects; embedding [C, H, W] needs not be of unit length. Peaks of the distance that touch are one seed; seeds are
/// numbered in raster order and grow over the pixels whose embedding points their way (kernels::grow_regions); weak
/// regions are dropped, and what is left is numbered by connected component.
Labels decode_seeds(const Exec&, const Tensor& distance, const Tensor& embedding, const SeedDecoding&);

struct SeedMaps {
  Tensor distance;   // [1, H, W]
  Tensor embedding;  // [channels, H, W]
};

/// What a perfect network would give for these labels: kernels::distance_target times 10, and as an embedding a one in
/// one channel: the first is that of the background, and objects within `radius` pixels of each other have different
/// ones as far as the others suffice. channels >= 2.
SeedMaps seed_oracle(const Exec&, const Labels&, int channels = 8, double radius = 10);

}  // namespace basin

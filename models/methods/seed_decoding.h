#pragma once
#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/image/label_filter.h"
#include "kernels/image/peaks.h"

namespace basin {

/// The largest value of the distance map that W-Net learns, see kernels::distance_target.
constexpr double distance_scale = 10;

/// Settings for decoding W-Net's maps into instances (Wu et al. 2020). Given perfect maps, the defaults lose fewer
/// objects than the published settings, whose strong smoothing merges the peaks of small objects, and which ignore
/// peaks at the image border, where objects cut by it have theirs.
struct SeedDecoding {
  double sigma = .5;           // of the Gaussian that smooths the distance map, in px
  kernels::PeakOptions peaks;  // peaks of the smoothed distance map are the seeds
  int embedding_radius = 3;    // of the disc over which embeddings are averaged, in px
  double min_cosine = .7;      // between a pixel's embedding and the direction of the seed that it joins
  kernels::WeakLabels weak;    // regions to drop, by the smoothed distance map
};

/// The instances of an image; its maps are freed as soon as they are no longer needed. distance [1, H, W] is 0 at
/// boundaries of objects and on the background, and large inside objects; embedding [C, H, W] need not have unit
/// length. Peaks of the distance that touch are one seed; seeds are numbered in raster order and grow over the pixels
/// whose embeddings point in their direction (kernels::grow_regions); weak regions are dropped, and the connected
/// components of the others are numbered.
Labels decode_seeds(const Exec&, Tensor distance, Tensor embedding, const SeedDecoding&);

struct SeedMaps {
  Tensor distance;   // [1, H, W]
  Tensor embedding;  // [channels, H, W]
};

/// The output of a perfect network for these labels: kernels::distance_target with distance_scale, and a one-hot
/// embedding. The first channel is the background's, and objects within `radius` pixels of each other have different
/// channels as far as the other channels suffice. channels >= 2.
SeedMaps seed_oracle(const Exec&, const Labels&, int channels = 8, double radius = 10);

}  // namespace basin

#pragma once
#include "data/files/labels.h"
#include "engine/tensor.h"
#include "kernels/embedding/objects.h"

namespace basin {

/// How the raw maps of a spatial embedding network become instances.
struct EmbedSegDecoding {
  /// seed_map: seeds are the pixels of the greatest seed probability that no proposal has taken yet. local_maxima:
  /// seeds are the local maxima of the seed map after a Gaussian of sigma 1, in the order of the unsmoothed map. There
  /// a pixel stays unclaimed until an accepted object takes it, the seed itself included, and a claimed seed proposes
  /// too.
  enum class Seeds { seed_map, local_maxima };
  Seeds seeds = Seeds::seed_map;
  int grid = 1024;              // as in training
  double foreground = 0.5;      // pixels with a seed probability above it are foreground
  double seed_threshold = 0.9;  // of seed_map: no object begins at a pixel below it
  int min_size = 36;            // an object has more pixels than this
  double unclaimed = 0.5;       // more than this part of an object belongs to no earlier one
};

/// raw [5, H, W] = o_x, o_y, sigma_x, sigma_y, seed, float32, on any device; decoded on the CPU. Sequential, the pixel
/// with the highest seed probability first, of several the first in raster order: a pixel j proposes all foreground
/// pixels i with exp(-sum exp(10 sigma_j) (e_i - e_j)^2) > 1/2, and where the proposal is accepted it overwrites
/// earlier objects. Objects are numbered in raster order of their first pixels. Exact; pixels are looked up by where
/// they point to, so that each proposal costs little more than its own size. NaN is background.
Labels decode(const Exec&, const Tensor& raw, const EmbedSegDecoding&);

/// The raw maps of a perfect network for these labels: every pixel of an object points to its centre, seed
/// probabilities are 1 and 0, and sigma is such that half a pixel around the centre is an object's own. [5, H, W] where
/// exec computes. Objects that are as wide as the grid are refused.
Tensor embedseg_oracle(const Exec&, const Labels&, kernels::CentreKind = kernels::CentreKind::medoid, int grid = 1024);

}  // namespace basin

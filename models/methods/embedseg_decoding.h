#pragma once
#include <optional>

#include "data/files/labels.h"
#include "data/files/planes.h"
#include "engine/tensor.h"
#include "kernels/embedding/objects.h"

namespace basin {

/// Settings for decoding the raw maps of a spatial embedding network into instances.
struct EmbedSegDecoding {
  /// seed_map: the next seed is the pixel with the highest seed probability that no proposal has claimed yet.
  /// local_maxima: seeds are the local maxima of the seed map after a Gaussian of sigma 1, in the order of the
  /// unsmoothed map. In this mode a pixel, including the seed itself, stays unclaimed until an accepted object claims
  /// it, and seeds that are already claimed propose objects too; except on a plateau, that is, local maxima of the
  /// foreground that touch, by a side or a corner, and thus are equal: there a pixel is no seed if an earlier proposal
  /// of the same plateau contains it, accepted or not.
  enum class Seeds { seed_map, local_maxima };
  Seeds seeds = Seeds::seed_map;
  double foreground = 0.5;      // pixels with a seed probability above it are foreground
  double seed_threshold = 0.9;  // seed_map only: pixels below it are not seeds
  int min_size = 36;            // objects must have more pixels than this
  double unclaimed = 0.5;       // more than this fraction of an object must be unclaimed
};

/// raw [5, H, W] = o_x, o_y, sigma_x, sigma_y, seed, float32, on any device; freed as soon as it is no longer needed.
/// Decoded on the CPU. Seeds are processed one after another in order of decreasing seed probability, ties in raster
/// order: a seed j proposes all foreground pixels i with exp(-sum exp(10 sigma_j) (e_i - e_j)^2) > 1/2, and an accepted
/// proposal overwrites earlier objects. Objects are numbered in raster order of their first pixels. Exact; pixels are
/// looked up by the points that they point to, so that a proposal costs little more than its own size. NaN is
/// background.
/// `whole`: is given the accepted proposals if some of them share pixels, each with all of its pixels.
Labels decode(const Exec&, Tensor raw, const EmbedSegDecoding&, std::optional<Planes>* whole = nullptr);

/// The raw maps of a perfect network for these labels: every pixel of an object points to its centre, seed
/// probabilities are 1 and 0, and sigma is such that only points within half a pixel of the centre belong to the
/// object. [5, H, W] on exec's device. Objects as wide as the grid of coordinates are refused. The labels may consist
/// of several layers, one below the other (LayeredLabels): a pixel of several objects points to the centre of the one
/// in the first layer.
Tensor embedseg_oracle(const Exec&, const Labels&, kernels::CentreKind = kernels::CentreKind::medoid, int layers = 1);

}  // namespace basin

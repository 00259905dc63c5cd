#pragma once
#include <vector>

#include "data/files/labels.h"
#include "engine/ops/roi.h"

namespace basin {

/// The objects of an image that object-guided segmentation is trained with.
struct GuidedObjects {
  Labels pieces;              // of each object its largest piece alone, numbered as `boxes`
  std::vector<RoiBox> boxes;  // of sample 0; centre and sides of the pixels, both ends counted
};
constexpr int max_guided_objects = 500;
/// Keeps of each object the largest piece that hangs together by four neighbours, of equal ones the first in raster
/// order, drops those that span three pixels or less in x or in y, and all beyond the first 500.
GuidedObjects guided_objects(const Labels&);

/// A label image in another size: each pixel takes the label of the one that its centre falls into.
Labels resize_nearest(const Labels&, int height, int width);

/// A box that a network found.
struct ScoredBox {
  RoiBox box;
  double score;
};

/// An object with a mask of its own: objects may overlap.
struct Instance {
  int x = 0, y = 0, width = 0, height = 0;  // tight box of the mask
  std::vector<uint8_t> mask;                // [height][width], 0 or 1
  double score = 0;
  int64_t area = 0;
};
struct ScoredMasks {
  int height = 0, width = 0;
  std::vector<Instance> objects;  // by falling score
};

struct ObjectGuidedDecoding {
  /// What a pixel's votes must reach to be the object's. published: their sum, at least .53. normalised: their mean, at
  /// least .5, which does not lose the rims of small objects.
  enum class Votes { published, normalised };
  Votes votes = Votes::normalised;
  int max_objects = 500;
  double confidence = 0.3;   // of the centre map: a box has more
  double max_overlap = 0.2;  // IoU with an object of higher score that suppresses one
};

/// Boxes at the peaks of the centre map: heat (logits) [1, h, w], size and offset [2, h, w], float32 on any device. A
/// peak is the greatest of its 3x3 cells; by falling score, on ties by cell. Boxes without extent are left out.
std::vector<ScoredBox> decode_boxes(const Exec&, const Tensor& heat, const Tensor& size, const Tensor& offset,
                                    const ObjectGuidedDecoding&);

/// Lays the masks of regions (probabilities, ragged of one channel, of level 0 of the boxes) onto a frame of
/// frame_height x frame_width px by bilinear votes, resizes them to height x width, and suppresses objects that overlap
/// one of higher score. `regions` are those of the boxes, in their order.
ScoredMasks decode_masks(const std::vector<ScoredBox>& boxes, const RoiList& regions, const std::vector<float>& masks,
                         int frame_height, int frame_width, int height, int width, const ObjectGuidedDecoding&);

/// A label image in which the object of the highest score is on top; those of which nothing is seen are lost.
Labels paint(const ScoredMasks&);

/// What a perfect network gives for an image of this label image, resized to a frame: boxes, and masks sampled from
/// the objects; then decoded.
ScoredMasks object_guided_oracle(const Labels&, int frame_height, int frame_width, const ObjectGuidedDecoding&);

}  // namespace basin

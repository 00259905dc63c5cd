#pragma once
#include <vector>

#include "data/files/labels.h"
#include "data/files/planes.h"
#include "engine/ops/roi.h"
#include "engine/plane_file.h"

namespace basin {

/// The objects of an image as object-guided segmentation is trained on them.
struct GuidedObjects {
  Labels pieces;              // the largest piece of each object, numbered as `boxes`; in layers like the objects
  std::vector<RoiBox> boxes;  // of sample 0; centre and number of pixels along each side
};
constexpr int max_guided_objects = 500;
constexpr int narrow_guided_object = 3;  // px
/// Keeps the largest 4-connected piece of each object (of equally large ones the first in raster order), and drops
/// objects whose piece is at most `narrow_guided_object` wide or high, and all beyond the first `max_objects`. The
/// labels may consist of several layers, one below the other (LayeredLabels); boxes are in a layer.
GuidedObjects guided_objects(const Labels&, int max_objects = max_guided_objects, int layers = 1);

/// A box that a network found.
struct ScoredBox {
  RoiBox box;
  double score;
};

/// An object with its own mask, because objects may overlap.
struct Instance {
  int x = 0, y = 0, width = 0, height = 0;  // bounding box of the mask
  std::vector<uint8_t> mask;                // [height][width], 0 or 1
  double score = 0;
  int64_t area = 0;
};
struct ScoredMasks {
  int height = 0, width = 0;
  std::vector<Instance> objects;  // by descending score
};

struct ObjectGuidedDecoding {
  /// The condition for a pixel to belong to an object. published: the sum of its votes is at least .53. normalised:
  /// their mean is at least .5, which keeps the rims of small objects.
  enum class Votes { published, normalised };
  Votes votes = Votes::normalised;
  int max_objects = 500;
  double confidence = 0.3;   // boxes must have a higher score
  double max_overlap = 0.2;  // objects with a higher IoU with one of higher score are suppressed
};

/// The frame that the network sees, and the rectangle of it that the resized image fills; the rest is 0.
struct GuidedFrame {
  int height = 0, width = 0;
  PixelRect image;

  static GuidedFrame filled(int height, int width) { return {height, width, {0, 0, height, width}}; }
};

/// Boxes at the peaks of the centre map: heat (logits) [1, h, w], size and offset [2, h, w], float32 on any device. A
/// peak is the largest of its 3x3 neighbourhood. Sorted by descending score, ties by cell. Boxes that are too small for
/// a region are left out. Coordinates are rounded to float32.
std::vector<ScoredBox> decode_boxes(const Exec&, const Tensor& heat, const Tensor& size, const Tensor& offset,
                                    const ObjectGuidedDecoding&);

/// Pastes masks onto a frame by bilinear votes, resizes its image to height x width, and suppresses objects that
/// overlap one of higher score. The masks are the probabilities at the points of `regions`, the boxes' regions on level
/// 0 in the order of the boxes.
ScoredMasks decode_masks(const std::vector<ScoredBox>& boxes, const RoiList& regions, const std::vector<float>& masks,
                         const GuidedFrame&, int height, int width, const ObjectGuidedDecoding&);

/// A label image in which objects with higher scores cover those with lower ones.
struct PaintedMasks {
  Labels labels;
  std::vector<float> scores;  // of objects 1, 2, ...
  Planes planes;              // their whole masks
  int hidden = 0;             // objects without a visible pixel, which are left out
};
PaintedMasks paint(const ScoredMasks&);

/// The network's output for an image resized to a frame.
struct GuidedMaps {
  Tensor heat, size, offset;             // see decode_boxes; h and w are a quarter of the frame's sides
  std::vector<ScoredBox> boxes;          // in the frame, by descending score
  std::vector<float> masks;              // probabilities at the points of the boxes' regions on level 0
  std::vector<ScoredBox> left_out = {};  // boxes that would cover the frame too often
};
/// The maps of a perfect network for these labels; the sides of the frame are multiples of 4. The labels may consist of
/// several layers, see guided_objects().
GuidedMaps object_guided_oracle(const Labels&, const GuidedFrame&, int layers = 1);

}  // namespace basin

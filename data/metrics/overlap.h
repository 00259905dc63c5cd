#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"
#include "data/files/planes.h"
#include "data/metrics/boxes.h"

namespace basin {

/// The overlap of the objects of two label images: the table O[i][j] = number of pixels that are in true object i and
/// in predicted object j. Only entries above zero are stored.
struct Overlap {
  struct Pair {
    int32_t truth, prediction;  // ids, from 1
    int64_t pixels;             // in both objects
    double iou;                 // pixels / (pixels in either), correctly rounded
  };

  std::vector<int64_t> truth_area, prediction_area;  // pixels of each id; [0] is the background
  std::vector<Box> truth_box, prediction_box;        // of each id; [0] is unused
  std::vector<Pair> pairs;                           // objects that share a pixel, by truth, then by prediction
  int64_t truth_pixels = 0, prediction_pixels = 0;   // pixels in any true object; in any predicted one
  int64_t common_pixels = 0;                         // in a true and in a predicted one
  bool from_planes = false;                          // only the true objects may share pixels

  int truth_count() const { return int(truth_area.size()) - 1; }
  int prediction_count() const { return int(prediction_area.size()) - 1; }
};

/// The overlap table of two label images of the same size. One pass over the pixels, then one over the runs of equal
/// (true, predicted) ids: time proportional to pixels + pairs, memory to runs + objects.
Overlap overlap(const Labels& truth, const Labels& prediction);

/// The same for objects that may share pixels. Time proportional to the pixels of the image plus those of the objects,
/// and for planes on both sides to the pairs of true and predicted objects.
Overlap overlap(const Planes& truth, const Labels& prediction);
Overlap overlap(const Labels& truth, const Planes& prediction);
Overlap overlap(const Planes& truth, const Planes& prediction);

}  // namespace basin

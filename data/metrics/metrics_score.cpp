#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/metrics/assignment.h"
#include "data/metrics/metrics.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

using OverlapPair = Overlap::Pair;

/// Whether objects share pixels: then they have more pixels than their foreground.
bool share_pixels(const std::vector<int64_t>& areas, int64_t foreground) {
  return std::accumulate(areas.begin() + 1, areas.end(), int64_t(0)) > foreground;
}

/// For each true object the pair of greatest IoU, the first on a tie; null: it overlaps no prediction.
std::vector<const OverlapPair*> best_prediction(const Overlap& table) {
  std::vector<const OverlapPair*> best(table.truth_area.size(), nullptr);
  for (const OverlapPair& pair : table.pairs) {
    const OverlapPair*& b = best[size_t(pair.truth)];
    if (!b || pair.iou > b->iou) b = &pair;
  }
  return best;
}

/// The same for each predicted object.
std::vector<const OverlapPair*> best_truth(const Overlap& table) {
  std::vector<const OverlapPair*> best(table.prediction_area.size(), nullptr);
  for (const OverlapPair& pair : table.pairs) {
    const OverlapPair*& b = best[size_t(pair.prediction)];
    if (!b || pair.iou > b->iou) b = &pair;
  }
  return best;
}

/// For each object, from 1, the IoU with its partner, or 0.
std::vector<double> ious(const std::vector<const OverlapPair*>& partners) {
  std::vector<double> all;
  for (size_t k = 1; k < partners.size(); ++k)
    all.push_back(partners[k] ? partners[k]->iou : 0);
  return all;
}

std::vector<const OverlapPair*> one_to_one(const Overlap& table) {
  std::vector<const OverlapPair*> chosen(table.truth_area.size(), nullptr);
  const std::vector<Match> matches = match_total_iou(table);
  auto m = matches.begin();
  for (const OverlapPair& pair : table.pairs)
    if (m != matches.end() && m->truth == pair.truth && m->prediction == pair.prediction) {
      chosen[size_t(pair.truth)] = &pair;
      ++m;
    }
  return chosen;
}

/// Aggregated Jaccard index for a choice of one prediction, or none, for each true object: intersections over unions;
/// the areas of objects without a partner are added to the unions. Kumar et al., IEEE TMI 36 (2017).
Quotient aggregated_jaccard(const Overlap& table, const std::vector<const OverlapPair*>& choice) {
  int64_t common = 0, either = 0;
  std::vector<bool> used(table.prediction_area.size(), false);
  for (size_t i = 1; i < choice.size(); ++i) {
    either += table.truth_area[i];
    if (!choice[i]) continue;
    const size_t j = size_t(choice[i]->prediction);
    common += choice[i]->pixels;
    either += table.prediction_area[j] - choice[i]->pixels;
    used[j] = true;
  }
  for (size_t j = 1; j < used.size(); ++j)
    if (!used[j]) either += table.prediction_area[j];
  return {double(common), double(either)};
}

/// Dice2, and the best Dice of each object. Scharr et al., Machine Vision and Applications 27 (2016).
void add_dice(const Overlap& table, ImageScore& s) {
  std::vector<double> best_truth(table.truth_area.size(), 0), best_prediction(table.prediction_area.size(), 0);
  for (const OverlapPair& pair : table.pairs) {
    const size_t i = size_t(pair.truth), j = size_t(pair.prediction);
    const double twice = 2 * double(pair.pixels), sum = double(table.truth_area[i] + table.prediction_area[j]);
    s.dice2.above += twice;
    s.dice2.below += sum;
    best_truth[i] = std::max(best_truth[i], twice / sum);
    best_prediction[j] = std::max(best_prediction[j], twice / sum);
  }
  s.best_dice_truth.below = double(s.truth);
  for (const double dice : best_truth)
    s.best_dice_truth.above += dice;
  s.best_dice_prediction.below = double(s.prediction);
  for (const double dice : best_prediction)
    s.best_dice_prediction.above += dice;
}

/// SEG and DET of the Cell Tracking Challenge: a prediction detects the true objects of which it covers more than half.
/// Of several predictions that share pixels and cover the same object, the one of greatest IoU does. Ulman et al.,
/// Nature Methods 14 (2017); Matula et al., PLoS ONE 10 (2015).
void add_cell_tracking(const Overlap& table, ImageScore& s) {
  std::vector<const OverlapPair*> covers(table.truth_area.size(), nullptr);
  for (const OverlapPair& pair : table.pairs) {
    const OverlapPair*& best = covers[size_t(pair.truth)];
    if (2 * pair.pixels > table.truth_area[size_t(pair.truth)] && (!best || pair.iou > best->iou)) best = &pair;
  }
  std::vector<int64_t> found(table.prediction_area.size(), 0);
  for (const OverlapPair* pair : covers) {
    if (!pair) continue;
    s.seg.above += pair->iou;
    ++found[size_t(pair->prediction)];
  }
  int64_t missed = s.truth, spurious = 0, splits = 0;
  for (size_t j = 1; j < found.size(); ++j) {
    missed -= found[j];
    if (found[j] == 0)
      ++spurious;
    else
      splits += found[j] - 1;
  }
  s.seg.below = double(s.truth);
  s.det = {double(5 * splits + 10 * missed + spurious), double(10 * s.truth)};
}

}  // namespace

void set_pixel_scores(const Overlap& table, ImageScore& s) {
  const double common = double(table.common_pixels);
  const double both = double(table.truth_pixels + table.prediction_pixels);
  s.semantic_iou = {common, both - common};
  s.semantic_f1 = {2 * common, both};
}

ImageScore score(const Labels& truth, const Labels& prediction) { return score(overlap(truth, prediction)); }

ImageScore score(const Overlap& table, std::span<const double> confidence) {
  ImageScore s;
  s.truth = table.truth_count();
  s.prediction = table.prediction_count();
  const std::vector<const OverlapPair*> best = best_truth(table), found = best_prediction(table),
                                        pairs = one_to_one(table);
  s.from_planes = table.from_planes;
  if (s.from_planes) {
    s.best_of_truth = ious(found);
    s.best_of_prediction = ious(best);
  } else {
    for (const Match& m : match(table, 0.5))
      s.matched.push_back(m.iou);
  }

  set_pixel_scores(table, s);
  s.aji = aggregated_jaccard(table, found);
  s.aji_plus = aggregated_jaccard(table, pairs);
  s.aji_cellpose = {0, s.semantic_iou.below};
  for (const OverlapPair* pair : pairs)
    if (pair) s.aji_cellpose.above += double(pair->pixels);
  if (share_pixels(table.truth_area, table.truth_pixels) &&
      share_pixels(table.prediction_area, table.prediction_pixels))
    s.aji_cellpose = s.aji_plus;  // intersections that share pixels cannot be compared with a foreground
  add_dice(table, s);
  add_cell_tracking(table, s);

  if (confidence.empty() && s.prediction > 0) return s;
  BASIN_CHECK(int64_t(confidence.size()) == s.prediction, confidence.size(), " confidences of ", s.prediction,
              " objects");
  s.has_confidence = true;
  const std::vector<BestBox> boxes =
      best_boxes(std::span(table.truth_box).subspan(1), std::span(table.prediction_box).subspan(1));
  for (size_t j = 1; j < best.size(); ++j) {
    BASIN_CHECK(std::isfinite(confidence[j - 1]), "confidence ", confidence[j - 1], " of object ", j);
    s.detections.push_back({confidence[j - 1], best[j] ? best[j]->truth - 1 : -1, best[j] ? best[j]->iou : 0});
    s.box_detections.push_back({confidence[j - 1], boxes[j - 1].index, boxes[j - 1].iou});
  }
  return s;
}

}  // namespace basin

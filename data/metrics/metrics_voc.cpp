#include <algorithm>

#include "data/metrics/metrics.h"

namespace basin {

namespace {

/// `is_match` decides whether an IoU is high enough.
template <class F>
std::optional<double> area_under_curve(const ImageScore& s, const std::vector<Detection>& detections, F is_match) {
  if (!s.has_confidence || s.truth == 0) return std::nullopt;
  std::vector<Detection> ranking = detections;
  std::stable_sort(ranking.begin(), ranking.end(),
                   [](const Detection& a, const Detection& b) { return a.confidence > b.confidence; });
  std::vector<bool> taken(size_t(s.truth), false), hit;
  std::vector<double> precision;  // after each detection
  double tp = 0;
  for (const Detection& d : ranking) {
    hit.push_back(d.truth >= 0 && is_match(d.iou) && !taken[size_t(d.truth)]);
    if (hit.back()) {
      taken[size_t(d.truth)] = true;
      ++tp;
    }
    precision.push_back(tp / double(hit.size()));
  }
  // Recall grows by 1 / truth at each hit; there the curve has the best precision from there on.
  double sum = 0, best = 0;
  for (size_t k = hit.size(); k-- > 0;) {
    best = std::max(best, precision[k]);
    if (hit[k]) sum += best;
  }
  return sum / double(s.truth);
}

}  // namespace

std::optional<double> voc2010(const ImageScore& s, double threshold) {
  return area_under_curve(s, s.detections, [=](double iou) { return iou > threshold; });
}

std::optional<double> voc2010_boxes(const ImageScore& s, double threshold) {
  return area_under_curve(s, s.box_detections, [=](double iou) { return iou >= threshold; });
}

}  // namespace basin

#include "data/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/platform.h"

namespace basin {
namespace {

using Value = std::optional<double>;

bool strict(Dialect dialect) { return dialect == Dialect::torchvf || dialect == Dialect::dsb2018; }

Quotient& operator+=(Quotient& a, const Quotient& b) {
  a.above += b.above;
  a.below += b.below;
  return a;
}

Value ratio(const Quotient& q, Value empty) { return q.below > 0 ? q.above / q.below : empty; }

/// Pairs with IoU above t, strictly: what PQ and the object F1 count in every dialect.
Counts above(const ImageScore& s, double t) { return counts(s, t, Dialect::dsb2018); }

Value object_f1(const ImageScore& s, double t) {
  const double tp = double(above(s, t).true_positive);
  return ratio({2 * tp, double(s.truth + s.prediction)}, std::nullopt);
}

Value segmentation_quality(const ImageScore& s) {
  if (s.truth + s.prediction == 0) return std::nullopt;
  Quotient q;
  for (const double iou : s.matched)
    if (iou > 0.5) q += {iou, 1};
  return ratio(q, 0);
}

Value panoptic_quality(const ImageScore& s) {
  const Value dq = object_f1(s, 0.5), sq = segmentation_quality(s);
  return dq && sq ? Value(*dq * *sq) : std::nullopt;
}

Value symmetric_best_dice(const ImageScore& s) {
  return std::min(*ratio(s.best_dice_prediction, 0), *ratio(s.best_dice_truth, 0));
}

Value det(const ImageScore& s) {
  if (s.det.below == 0) return std::nullopt;
  return 1 - std::min(s.det.above, s.det.below) / s.det.below;
}

Value mean_over(const std::vector<double>& thresholds, const std::function<Value(double)>& value) {
  double sum = 0;
  for (const double t : thresholds) {
    const Value v = value(t);
    if (!v) return std::nullopt;
    sum += *v;
  }
  return sum / double(thresholds.size());
}

}  // namespace

const char* name_of(Dialect dialect) {
  switch (dialect) {
    case Dialect::stardist:
      return "stardist";
    case Dialect::torchvf:
      return "torchvf";
    case Dialect::cellpose:
      return "cellpose";
    case Dialect::dsb2018:
      return "dsb2018";
  }
  return "";
}

ImageScore& ImageScore::operator+=(const ImageScore& other) {
  matched.insert(matched.end(), other.matched.begin(), other.matched.end());
  for (Detection d : other.detections) {
    if (d.truth >= 0) d.truth += truth;
    detections.push_back(d);
  }
  truth += other.truth;
  prediction += other.prediction;
  semantic_iou += other.semantic_iou;
  semantic_f1 += other.semantic_f1;
  aji += other.aji;
  aji_plus += other.aji_plus;
  dice2 += other.dice2;
  best_dice_prediction += other.best_dice_prediction;
  best_dice_truth += other.best_dice_truth;
  seg += other.seg;
  det += other.det;
  has_confidence = has_confidence || other.has_confidence;
  return *this;
}

ImageScore pool(std::span<const ImageScore> images) {
  ImageScore all;
  for (const ImageScore& image : images)
    all += image;
  return all;
}

Counts counts(const ImageScore& s, double threshold, Dialect dialect) {
  BASIN_CHECK(threshold >= 0.5 && threshold <= 1, "threshold ", threshold);
  const int64_t tp = std::count_if(s.matched.begin(), s.matched.end(),
                                   [=](double iou) { return strict(dialect) ? iou > threshold : iou >= threshold; });
  return {tp, s.prediction - tp, s.truth - tp};
}

Value average_precision(const ImageScore& s, double threshold, Dialect dialect) {
  const Counts n = counts(s, threshold, dialect);
  const bool zero = dialect == Dialect::stardist || dialect == Dialect::dsb2018;
  return ratio({double(n.true_positive), double(n.true_positive + n.false_positive + n.false_negative)},
               zero ? Value(0) : std::nullopt);
}

Value mean_average_precision(std::span<const ImageScore> images, double threshold, Dialect dialect) {
  Metric metric;
  metric.value = [=](const ImageScore& s) { return average_precision(s, threshold, dialect); };
  return aggregate(metric, Aggregation::mean, images);
}

std::vector<double> coco_thresholds() {
  std::vector<double> t;
  for (int percent = 50; percent < 100; percent += 5)
    t.push_back(percent / 100.0);
  return t;
}

std::vector<double> curve_thresholds() {
  std::vector<double> t;
  for (int k = 0; k < 100; ++k)
    t.push_back((99 + k) / 198.0);
  return t;
}

std::vector<Metric> metrics(Dialect dialect, bool with_confidence) {
  const std::vector<double> three = {0.5, 0.75, 0.9}, coco = coco_thresholds();
  std::vector<Metric> all;
  const auto add = [&](std::string key, std::string rule, std::function<Value(const ImageScore&)> value) {
    all.push_back({std::move(key), "", std::move(rule), true, std::move(value)});
  };
  const auto add_thresholds = [&](const std::string& prefix, const std::string& rule,
                                  const std::function<Value(const ImageScore&, double)>& at) {
    for (const double t : coco)
      add(fmt::format("{}{:.0f}", prefix, 100 * t), rule, [=](const ImageScore& s) { return at(s, t); });
    add(prefix + "50:95", fmt::format("mean of .50:.05:.95, {}", rule),
        [=](const ImageScore& s) { return mean_over(coco, [&](double t) { return at(s, t); }); });
  };
  const auto ap = [=](const ImageScore& s, double t) { return average_precision(s, t, dialect); };
  const std::string match = strict(dialect) ? ">" : ">=";
  add_thresholds("AP", match, ap);
  add("mAP", "mean of .50, .75, .90, " + match,
      [=](const ImageScore& s) { return mean_over(three, [&](double t) { return ap(s, t); }); });
  for (Metric& m : all)
    m.dialect = name_of(dialect);
  if (with_confidence) add_thresholds("VOC_AP", "VOC2010, >", voc2010);

  add("semantic_IoU", "pixels", [](const ImageScore& s) { return ratio(s.semantic_iou, 1); });
  add("semantic_F1", "pixels", [](const ImageScore& s) { return ratio(s.semantic_f1, 1); });
  add("count_MAE", "objects", [](const ImageScore& s) { return Value(std::abs(double(s.prediction - s.truth))); });
  all.back().pools = false;
  add("object_F1", "IoU > .5", [](const ImageScore& s) { return object_f1(s, 0.5); });
  add("object_F1_50:95", "mean of .50:.05:.95, >",
      [=](const ImageScore& s) { return mean_over(coco, [&](double t) { return object_f1(s, t); }); });
  add("AJI", "", [](const ImageScore& s) { return ratio(s.aji, 1); });
  add("AJI+", "one to one", [](const ImageScore& s) { return ratio(s.aji_plus, 1); });
  add("PQ", "IoU > .5", panoptic_quality);
  add("DQ", "IoU > .5", [](const ImageScore& s) { return object_f1(s, 0.5); });
  add("SQ", "IoU > .5", segmentation_quality);
  add("Dice2", "ensemble Dice",
      [](const ImageScore& s) { return ratio(s.dice2, s.truth + s.prediction > 0 ? Value(0) : std::nullopt); });
  add("SBD", "symmetric best Dice", symmetric_best_dice);
  add("BD_pred", "best Dice, predicted to true", [](const ImageScore& s) { return ratio(s.best_dice_prediction, 0); });
  add("BD_truth", "best Dice, true to predicted", [](const ImageScore& s) { return ratio(s.best_dice_truth, 0); });
  add("DiC", "predicted - true", [](const ImageScore& s) { return Value(double(s.prediction - s.truth)); });
  all.back().pools = false;
  add("|DiC|", "", [](const ImageScore& s) { return Value(std::abs(double(s.prediction - s.truth))); });
  all.back().pools = false;
  add("FgBgDice", "foreground pixels", [](const ImageScore& s) { return ratio(s.semantic_f1, 0); });
  add("SEG", "Cell Tracking Challenge", [](const ImageScore& s) { return ratio(s.seg, std::nullopt); });
  add("DET", "Cell Tracking Challenge", det);
  add("OP_CSB", "(SEG + DET) / 2", [](const ImageScore& s) {
    const Value d = det(s);
    return d ? Value((*d + *ratio(s.seg, 0)) / 2) : std::nullopt;
  });
  return all;
}

std::string full_name(const Metric& metric, Aggregation aggregation) {
  const char* how = aggregation == Aggregation::pooled ? "pooled" : "per-image mean";
  return fmt::format("{} ({}{}{}{}{})", metric.key, metric.dialect, metric.dialect.empty() ? "" : ", ", how,
                     metric.rule.empty() ? "" : ", ", metric.rule);
}

Value aggregate(const Metric& metric, Aggregation aggregation, std::span<const ImageScore> images) {
  if (aggregation == Aggregation::pooled) return metric.pools ? metric.value(pool(images)) : std::nullopt;
  Quotient sum;
  for (const ImageScore& image : images)
    if (const Value v = metric.value(image)) sum += {*v, 1};
  return ratio(sum, std::nullopt);
}

}  // namespace basin

#include "data/metrics/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "kernels/runtime/enum_names.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

using Value = std::optional<double>;

constexpr std::pair<Dialect, const char*> dialects[] = {{Dialect::stardist, "stardist"},
                                                        {Dialect::torchvf, "torchvf"},
                                                        {Dialect::cellpose, "cellpose"},
                                                        {Dialect::dsb2018, "dsb2018"}};

bool strict(Dialect dialect) { return dialect == Dialect::torchvf || dialect == Dialect::dsb2018; }

Quotient& operator+=(Quotient& a, const Quotient& b) {
  a.above += b.above;
  a.below += b.below;
  return a;
}

Value ratio(const Quotient& q, Value empty) { return q.below > 0 ? q.above / q.below : empty; }

Value segmentation_quality(const ImageScore& s) {
  if (s.truth + s.prediction == 0) return std::nullopt;
  Quotient q;
  for (const std::vector<double>* all : {&s.matched, &s.best_of_truth})
    for (const double iou : *all)
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

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Detections with true-object indices shifted by n.
std::vector<Detection> after(std::vector<Detection> all, int64_t n) {
  for (Detection& d : all)
    if (d.truth >= 0) d.truth += n;
  return all;
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

std::string name_of(Dialect dialect) { return name_in(dialects, dialect); }

std::vector<std::string> dialect_names() {
  std::vector<std::string> names;
  for (const auto& [dialect, name] : dialects)
    names.push_back(name);
  return names;
}

Dialect parse_dialect(const std::string& name) { return value_in(dialects, "--dialect", name); }

ImageScore& ImageScore::operator+=(const ImageScore& other) {
  append(matched, other.matched);
  append(best_of_truth, other.best_of_truth);
  append(best_of_prediction, other.best_of_prediction);
  append(detections, after(other.detections, truth));
  append(box_detections, after(other.box_detections, truth));
  truth += other.truth;
  prediction += other.prediction;
  semantic_iou += other.semantic_iou;
  semantic_f1 += other.semantic_f1;
  aji += other.aji;
  aji_plus += other.aji_plus;
  aji_cellpose += other.aji_cellpose;
  dice2 += other.dice2;
  best_dice_prediction += other.best_dice_prediction;
  best_dice_truth += other.best_dice_truth;
  seg += other.seg;
  det += other.det;
  has_confidence = has_confidence || other.has_confidence;
  from_planes = from_planes || other.from_planes;
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
  const auto matches = [=](const std::vector<double>& all) {
    return int64_t(std::count_if(all.begin(), all.end(),
                                 [=](double iou) { return strict(dialect) ? iou > threshold : iou >= threshold; }));
  };
  const int64_t pairs = matches(s.matched), truths = matches(s.best_of_truth),
                predictions = matches(s.best_of_prediction);
  return {pairs + (dialect == Dialect::torchvf ? predictions : truths), s.prediction - pairs - predictions,
          s.truth - pairs - truths};
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

std::vector<Curve> curves(Dialect dialect, Given given) {
  const std::string match = strict(dialect) ? ">" : ">=";
  std::vector<Curve> all = {{"AP", given.planes ? match + ", planes many to one" : match,
                             [=](const ImageScore& s, double t) { return average_precision(s, t, dialect); }}};
  if (given.confidences) {
    all.push_back({"VOC_AP", "VOC2010, >", voc2010});
    all.push_back({"VOC_box_AP", "VOC2010 of boxes, >=", voc2010_boxes});
  }
  return all;
}

std::optional<double> object_f1(const ImageScore& s, double t) {
  const Counts n = counts(s, t, Dialect::dsb2018);
  const double twice = 2 * double(n.true_positive);
  return ratio({twice, twice + double(n.false_positive + n.false_negative)}, std::nullopt);
}

Metric at_threshold(const Curve& curve, double threshold) {
  Metric metric;
  metric.key = fmt::format("{}{:.0f}", curve.key, 100 * threshold);
  metric.rule = curve.rule;
  metric.value = [=](const ImageScore& s) { return curve.value(s, threshold); };
  return metric;
}

std::vector<Metric> metrics(Dialect dialect, Given given) {
  const std::vector<double> three = {0.5, 0.75, 0.9}, coco = coco_thresholds();
  std::vector<Metric> all;
  const auto add = [&](std::string key, std::string rule, std::function<Value(const ImageScore&)> value) {
    all.push_back({std::move(key), "", std::move(rule), true, std::move(value)});
  };
  for (const Curve& curve : curves(dialect, given)) {
    const size_t first = all.size();
    const auto add_mean = [&](const std::string& key, const std::string& what, const std::vector<double>& thresholds) {
      add(key, "mean of " + what + ", " + curve.rule,
          [=](const ImageScore& s) { return mean_over(thresholds, [&](double t) { return curve.value(s, t); }); });
    };
    for (const double t : coco)
      all.push_back(at_threshold(curve, t));
    add_mean(curve.key + "50:95", ".50:.05:.95", coco);
    if (curve.key != "AP") continue;
    add_mean("mAP", ".50, .75, .90", three);
    for (size_t k = first; k < all.size(); ++k)
      all[k].dialect = name_of(dialect);
  }

  add("semantic_IoU", "pixels", [](const ImageScore& s) { return ratio(s.semantic_iou, 1); });
  add("semantic_F1", "pixels", [](const ImageScore& s) { return ratio(s.semantic_f1, 1); });
  add("count_MAE", "objects", [](const ImageScore& s) { return Value(std::abs(double(s.prediction - s.truth))); });
  all.back().pools = false;
  add("object_F1", "IoU > .5", [](const ImageScore& s) { return object_f1(s, 0.5); });
  add("object_F1_50:95", "mean of .50:.05:.95, >",
      [=](const ImageScore& s) { return mean_over(coco, [&](double t) { return object_f1(s, t); }); });
  add("AJI", "", [](const ImageScore& s) { return ratio(s.aji, 1); });
  add("AJI+", "one to one", [](const ImageScore& s) { return ratio(s.aji_plus, 1); });
  add("AJI_cellpose", "common pixels of pairs / foreground",
      [](const ImageScore& s) { return ratio(s.aji_cellpose, 1); });
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

const char* name_of(Aggregation aggregation) {
  switch (aggregation) {
    case Aggregation::mean:
      return "mean";
    case Aggregation::pooled:
      return "pooled";
    case Aggregation::mean_of_subsets:
      return "mean_of_subsets";
  }
  return "";
}

std::string full_name(const Metric& metric, Aggregation aggregation) {
  const char* how = aggregation == Aggregation::pooled ? "pooled"
                    : aggregation == Aggregation::mean ? "per-image mean"
                                                       : "mean of subsets' means";
  return fmt::format("{} ({}{}{}{}{})", metric.key, metric.dialect, metric.dialect.empty() ? "" : ", ", how,
                     metric.rule.empty() ? "" : ", ", metric.rule);
}

Value aggregate(const Metric& metric, Aggregation aggregation, std::span<const ImageScore> images,
                std::span<const size_t> subsets) {
  if (aggregation == Aggregation::pooled) return metric.pools ? metric.value(pool(images)) : std::nullopt;
  Quotient sum;
  if (aggregation == Aggregation::mean) {
    for (const ImageScore& image : images)
      if (const Value v = metric.value(image)) sum += {*v, 1};
    return ratio(sum, std::nullopt);
  }
  for (const size_t n : subsets) {
    if (const Value v = aggregate(metric, Aggregation::mean, images.first(n))) sum += {*v, 1};
    images = images.subspan(n);
  }
  return ratio(sum, std::nullopt);
}

}  // namespace basin

#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/files/labels.h"
#include "data/metrics/overlap.h"

namespace basin {

/// The dialect of the average precision AP_t = TP / (TP + FP + FN) at an IoU threshold t. Objects are matched one to
/// one (data/metrics/assignment.h).
///
///              match     an image without objects, true or predicted    usual aggregation
///   stardist   IoU >= t  0                                              pooled
///   torchvf    IoU > t   undefined                                      pooled
///   cellpose   IoU >= t  undefined                                      mean over images
///   dsb2018    IoU > t   0                                              mean over images
///
/// torchvf counts predictions that have some match; at t >= 0.5 and IoU > t that is one to one unless predictions share
/// pixels, and then Basin matches one to one all the same.
///
/// If true objects may share pixels and predictions may not (Overlap::from_planes), a prediction may match several: FN
/// are the true objects without a match, FP the predicted ones, TP = true objects - FN (Lalit et al., Medical Image
/// Analysis 81 (2022)), for torchvf predictions - FP.
enum class Dialect { stardist, torchvf, cellpose, dsb2018 };
std::string name_of(Dialect);
/// The names of all dialects, and the dialect with a name; an unknown name throws one sentence.
std::vector<std::string> dialect_names();
Dialect parse_dialect(const std::string&);

/// A score as a quotient: scores of several images are pooled by adding numerators and denominators.
struct Quotient {
  double above = 0, below = 0;
};

/// One predicted object in a ranking by confidence.
struct Detection {
  double confidence;
  int64_t truth;  // the true object of greatest IoU, from 0 (the first on a tie); -1: no overlap
  double iou;
};

/// The statistics that every metric needs, of one image or summed over many.
struct ImageScore {
  int64_t truth = 0, prediction = 0;  // objects
  std::vector<double> matched;        // IoU of each pair matched one to one at IoU >= 0.5; not for planes
  std::vector<double> best_of_truth, best_of_prediction;  // for planes: the IoU of each object with its best partner
  Quotient semantic_iou;                                  // foreground pixels: intersection / union
  Quotient semantic_f1;                                   // foreground pixels: twice the intersection / sum
  Quotient aji, aji_plus, aji_cellpose, dice2;
  Quotient best_dice_prediction;  // sum over predicted objects of the best Dice with a true one / their number
  Quotient best_dice_truth;       // the same with the roles exchanged
  Quotient seg;                   // sum of IoU with the prediction that covers more than half / number of true objects
  Quotient det;                   // AOGM-D of the prediction / AOGM-D of an empty one
  std::vector<Detection> detections, box_detections;  // by the IoU of pixels; by that of boxes (box_iou)
  bool has_confidence = false;
  bool from_planes = false;

  ImageScore& operator+=(const ImageScore&);
};

/// Scores one image. `confidence`, if given, has one value per predicted object, by id; only VOC2010 needs it.
ImageScore score(const Overlap&, std::span<const double> confidence = {});
ImageScore score(const Labels& truth, const Labels& prediction);
/// Sets the scores of foreground pixels, semantic_iou and semantic_f1, to those of another table.
void set_pixel_scores(const Overlap&, ImageScore&);

/// The statistics of all images together.
ImageScore pool(std::span<const ImageScore>);

struct Counts {
  int64_t true_positive, false_positive, false_negative;
};

/// For thresholds in [0.5, 1]. Pairs are matched at 0.5. Where true or predicted objects share no pixels, any pair that
/// matches at t is among these: an object can have an IoU of at least one half with two disjoint ones only if it is
/// exactly one half with each.
Counts counts(const ImageScore&, double threshold, Dialect);

/// TP / (TP + FP + FN) of one image, or of a pool. No value if the dialect leaves it undefined.
std::optional<double> average_precision(const ImageScore&, double threshold, Dialect);

/// 2 TP / (2 TP + FP + FN) of pairs with IoU above a threshold of at least 0.5; the same with the roles exchanged. No
/// value where there is no object, true or predicted.
std::optional<double> object_f1(const ImageScore&, double threshold);

/// The mean over the images that have a value. No value if none has one.
std::optional<double> mean_average_precision(std::span<const ImageScore>, double threshold,
                                             Dialect = Dialect::stardist);

/// .50, .55 ... .95, each the double nearest to the decimal: since an IoU is the double nearest to a ratio of pixel
/// counts, >= and > are exact for objects of less than 2^25 pixels.
std::vector<double> coco_thresholds();
/// 100 thresholds from 0.5 to 1, both included, evenly spaced.
std::vector<double> curve_thresholds();

/// AP of the Pascal VOC 2010 kit over a ranking of all detections: the area under precision over recall, with precision
/// made non-increasing from the right. A detection is a true positive if its best true object has IoU > threshold and
/// no detection before it took that object. No value without confidences or without true objects.
std::optional<double> voc2010(const ImageScore&, double threshold);
/// The same with the objects' boxes instead of their pixels, and IoU >= threshold.
std::optional<double> voc2010_boxes(const ImageScore&, double threshold);

/// A metric that depends on an IoU threshold.
struct Curve {
  std::string key;  // "AP", "VOC_AP", "VOC_box_AP"
  std::string rule;
  std::function<std::optional<double>(const ImageScore&, double threshold)> value;
};

/// A metric with its full name.
struct Metric {
  std::string key;      // key in the JSON, column of the CSV: "AP50"
  std::string dialect;  // if there are several; otherwise empty
  std::string rule;     // what else distinguishes it from metrics of the same name; may be empty
  bool pools = true;    // false: a number per image, of which only the mean makes sense
  std::function<std::optional<double>(const ImageScore&)> value;  // of one image or of a pool; none: undefined
};

/// Optional properties of the images to score.
struct Given {
  bool confidences = false;  // some predicted objects have one
  bool planes = false;       // some true objects may share pixels
};

/// Every metric, with AP by the rules of the dialect, and VOC2010 if there are confidences.
std::vector<Metric> metrics(Dialect, Given = {});
/// The metrics among them that are drawn as a curve over thresholds.
std::vector<Curve> curves(Dialect, Given = {});

/// mean_of_subsets: the mean over subsets (such as A1 to A5 of the leaf challenge) of the means over their images.
enum class Aggregation { mean, pooled, mean_of_subsets };
const char* name_of(Aggregation);

/// For example "AP50 (stardist, per-image mean, >=)".
std::string full_name(const Metric&, Aggregation);

/// The mean over the images that have a value, or the value of the pool. No value if no image defines it, or if the
/// metric cannot be pooled. `subsets`: the number of images of the first subset, of the second, ...
std::optional<double> aggregate(const Metric&, Aggregation, std::span<const ImageScore>,
                                std::span<const size_t> subsets = {});
/// A curve at one threshold as a metric.
Metric at_threshold(const Curve&, double threshold);

}  // namespace basin

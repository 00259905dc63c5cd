#include "tools/cli/evaluation.h"

#include <fmt/format.h>

#include "data/files/csv.h"
#include "engine/json.h"
#include "tools/cli/counted.h"

namespace basin::tools {
namespace {

using Value = std::optional<double>;

Json to_json(const Value& value) { return value ? Json(*value) : Json(nullptr); }

Json objects_of(const ImageScore& s) { return {{"true", s.truth}, {"predicted", s.prediction}}; }

/// The aggregations to report: over subsets only if there are several.
std::vector<Aggregation> aggregations(const Evaluation& e) {
  std::vector<Aggregation> all = {Aggregation::mean, Aggregation::pooled};
  if (e.subsets.size() > 1) all.push_back(Aggregation::mean_of_subsets);
  return all;
}

Value aggregated(const Evaluation& e, const Metric& metric, Aggregation how) {
  return aggregate(metric, how, e.scores, e.sizes());
}

/// The folders as given: a string, or a list if there are several subsets.
Json given(const Evaluation& e, std::string Subset::*folder) {
  if (e.subsets.size() == 1) return e.subsets[0].*folder;
  Json all = Json::array();
  for (const Subset& s : e.subsets)
    all.push_back(s.*folder);
  return all;
}

Json metrics_of(const Evaluation& e) {
  Json all;
  for (const Metric& m : e.metrics) {
    Json& values = all[m.key];
    values["rule"] = m.dialect.empty() ? m.rule : m.dialect + ", " + m.rule;
    for (const Aggregation how : aggregations(e))
      values[name_of(how)] = to_json(aggregated(e, m, how));
  }
  return all;
}

Json counts_of(const ImageScore& pooled, Dialect dialect) {
  Json all = Json::array();
  for (const double t : coco_thresholds()) {
    const Counts n = counts(pooled, t, dialect);
    all.push_back({{"threshold", t},
                   {"true_positive", n.true_positive},
                   {"false_positive", n.false_positive},
                   {"false_negative", n.false_negative}});
  }
  return all;
}

/// The curve of one image, or of a pool.
Json curve_of(const Curve& curve, const ImageScore& s) {
  Json all = Json::array();
  for (const double t : curve_thresholds())
    all.push_back(to_json(curve.value(s, t)));
  return all;
}

Json curves_of(const Evaluation& e, const ImageScore& pooled) {
  Json all = {{"threshold", curve_thresholds()}};
  for (const Curve& curve : e.curves) {
    Json means = Json::array();
    for (const double t : curve_thresholds())
      means.push_back(to_json(aggregated(e, at_threshold(curve, t), Aggregation::mean)));
    all[curve.key] = {{"mean", means}, {"pooled", curve_of(curve, pooled)}};
  }
  return all;
}

/// The subset that each image belongs to.
std::vector<const Subset*> subset_of_images(const Evaluation& e) {
  std::vector<const Subset*> all;
  for (const Subset& s : e.subsets)
    all.insert(all.end(), s.images, &s);
  return all;
}

Json images_of(const Evaluation& e) {
  const std::vector<const Subset*> subsets = subset_of_images(e);
  Json all = Json::array();
  for (size_t k = 0; k < e.pairs.size(); ++k) {
    Json image = {{"image", e.pairs[k].stem},
                  {"prediction", labels_path(e.pairs[k].prediction).string()},
                  {"truth", labels_path(e.pairs[k].truth).string()},
                  {"objects", objects_of(e.scores[k])}};
    if (e.subsets.size() > 1) image["subset"] = subsets[k]->truth;
    for (const Metric& m : e.metrics)
      image["metrics"][m.key] = to_json(m.value(e.scores[k]));
    for (const Curve& curve : e.curves)
      image["curve"][curve.key] = curve_of(curve, e.scores[k]);
    all.push_back(std::move(image));
  }
  return all;
}

}  // namespace

std::vector<size_t> Evaluation::sizes() const {
  std::vector<size_t> all;
  for (const Subset& s : subsets)
    all.push_back(s.images);
  return all;
}

Json json_of(const Evaluation& e) {
  const ImageScore pooled = pool(e.scores);
  Json json = {{"dialect", name_of(e.dialect)},          {"prediction", given(e, &Subset::prediction)},
               {"truth", given(e, &Subset::truth)},      {"images", e.pairs.size()},
               {"objects", objects_of(pooled)},          {"metrics", metrics_of(e)},
               {"counts", counts_of(pooled, e.dialect)}, {"curve", curves_of(e, pooled)}};
  if (e.ignore_label) json["ignore_label"] = *e.ignore_label;
  json["per_image"] = images_of(e);
  return json;
}

std::string table_of(const Evaluation& e) {
  const bool several = e.subsets.size() > 1;
  const std::vector<const Subset*> subsets = subset_of_images(e);
  const auto field = [](const Value& v) { return v ? fmt::format(",{}", *v) : std::string(","); };
  std::string text = several ? "subset,image" : "image";
  text += ",true_objects,predicted_objects";
  for (const Metric& m : e.metrics)
    text += "," + m.key;
  for (const Curve& curve : e.curves)
    for (const double t : curve_thresholds())
      text += fmt::format(",{}@{:.4f}", curve.key, t);
  for (size_t k = 0; k < e.pairs.size(); ++k) {
    const ImageScore& s = e.scores[k];
    const std::string subset = several ? fmt::format("{},", csv_field(subsets[k]->truth)) : "";
    text += fmt::format("\n{}{},{},{}", subset, csv_field(e.pairs[k].stem), s.truth, s.prediction);
    for (const Metric& m : e.metrics)
      text += field(m.value(s));
    for (const Curve& curve : e.curves)
      for (const double t : curve_thresholds())
        text += field(curve.value(s, t));
  }
  return text + "\n";
}

void print(const Evaluation& e) {
  const ImageScore pooled = pool(e.scores);
  fmt::print("{}, {} true and {}\n", counted(int64_t(e.pairs.size()), "image"), pooled.truth,
             counted(pooled.prediction, "predicted object"));
  for (const Metric& m : e.metrics)
    for (const Aggregation how : aggregations(e)) {
      if (how == Aggregation::pooled && !m.pools) continue;
      const Value v = aggregated(e, m, how);
      fmt::print("{:<66} {}\n", full_name(m, how), v ? fmt::format("{:8.4f}", *v) : "       -");
    }
}

}  // namespace basin::tools

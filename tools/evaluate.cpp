#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "data/csv.h"
#include "data/labels.h"
#include "data/metrics.h"
#include "data/metrics_files.h"
#include "engine/files.h"
#include "engine/json.h"
#include "tools/command.h"
#include "tools/run_json.h"

namespace basin::tools {
namespace {

constexpr Dialect every_dialect[] = {Dialect::stardist, Dialect::torchvf, Dialect::cellpose, Dialect::dsb2018};

Dialect dialect_of(const std::string& name) {
  for (const Dialect d : every_dialect)
    if (name == name_of(d)) return d;
  refuse("--dialect ", name, ": no such dialect");
}

struct Options {
  std::string prediction, truth, json, csv, dialect = "stardist";
  int threads = 0;
};

struct Evaluation {
  std::vector<LabelPair> pairs;
  std::vector<ImageScore> scores;  // of each pair
  std::vector<Metric> metrics;
  Dialect dialect;
};

ImageScore score_pair(const LabelPair& pair, bool with_confidence) {
  const Labels truth = read_pair_labels(pair.truth), prediction = read_pair_labels(pair.prediction);
  if (truth.height != prediction.height || truth.width != prediction.width)
    refuse(labels_path(pair.prediction).string(), ": ", prediction.width, " x ", prediction.height, " pixels, but ",
           labels_path(pair.truth).string(), " has ", truth.width, " x ", truth.height);
  std::vector<double> confidence;
  if (with_confidence && prediction.count > 0)
    confidence = read_confidence(confidence_path(pair.prediction), prediction.count);
  return score(overlap(truth, prediction), confidence);
}

/// The scores of all pairs; the first file that fails, in the order of the pairs, is the one that is reported.
std::vector<ImageScore> score_pairs(const std::vector<LabelPair>& pairs, bool with_confidence) {
  std::vector<ImageScore> scores(pairs.size());
  std::vector<std::exception_ptr> errors(pairs.size());
#pragma omp parallel for schedule(dynamic)
  for (size_t k = 0; k < pairs.size(); ++k)
    try {
      scores[k] = score_pair(pairs[k], with_confidence);
    } catch (...) {
      errors[k] = std::current_exception();
    }
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  return scores;
}

Evaluation evaluate(const Options& options) {
  const LabelPairs found = pair_labels(options.prediction, options.truth);
  if (!found.extra.empty())
    std::fprintf(stderr, "basin: left out %zu predictions without a truth, the first of them %s\n", found.extra.size(),
                 found.extra[0].string().c_str());
  bool with_confidence = false;
  for (const LabelPair& pair : found.pairs)
    with_confidence = with_confidence || std::filesystem::exists(confidence_path(pair.prediction));
  const Dialect dialect = dialect_of(options.dialect);
  return {found.pairs, score_pairs(found.pairs, with_confidence), metrics(dialect, with_confidence), dialect};
}

Json to_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json objects_of(const ImageScore& s) { return {{"true", s.truth}, {"predicted", s.prediction}}; }

Json curve(const ImageScore& s, Dialect dialect) {
  Json all = Json::array();
  for (const double t : curve_thresholds())
    all.push_back(to_json(average_precision(s, t, dialect)));
  return all;
}

Json report(const Evaluation& e, const Options& options) {
  const ImageScore pooled = pool(e.scores);
  Json json = {{"dialect", name_of(e.dialect)},
               {"prediction", options.prediction},
               {"truth", options.truth},
               {"images", e.pairs.size()},
               {"objects", objects_of(pooled)}};
  for (const Metric& m : e.metrics)
    json["metrics"][m.key] = {{"rule", m.dialect.empty() ? m.rule : m.dialect + ", " + m.rule},
                              {"mean", to_json(aggregate(m, Aggregation::mean, e.scores))},
                              {"pooled", to_json(aggregate(m, Aggregation::pooled, e.scores))}};
  for (const double t : coco_thresholds()) {
    const Counts n = counts(pooled, t, e.dialect);
    json["counts"].push_back({{"threshold", t},
                              {"true_positive", n.true_positive},
                              {"false_positive", n.false_positive},
                              {"false_negative", n.false_negative}});
  }
  Json means = Json::array();
  for (const double t : curve_thresholds())
    means.push_back(to_json(mean_average_precision(e.scores, t, e.dialect)));
  json["curve"] = {{"threshold", curve_thresholds()}, {"mean", means}, {"pooled", curve(pooled, e.dialect)}};
  json["per_image"] = Json::array();
  for (size_t k = 0; k < e.pairs.size(); ++k) {
    Json image = {{"image", e.pairs[k].stem},
                  {"prediction", labels_path(e.pairs[k].prediction).string()},
                  {"truth", labels_path(e.pairs[k].truth).string()},
                  {"objects", objects_of(e.scores[k])}};
    for (const Metric& m : e.metrics)
      image["metrics"][m.key] = to_json(m.value(e.scores[k]));
    image["curve"] = curve(e.scores[k], e.dialect);
    json["per_image"].push_back(std::move(image));
  }
  return json;
}

/// One row per image; an undefined value is an empty field.
std::string table(const Evaluation& e) {
  const auto field = [](const std::optional<double>& v) { return v ? fmt::format(",{}", *v) : std::string(","); };
  std::string text = "image,true_objects,predicted_objects";
  for (const Metric& m : e.metrics)
    text += "," + m.key;
  for (const double t : curve_thresholds())
    text += fmt::format(",AP@{:.4f}", t);
  for (size_t k = 0; k < e.pairs.size(); ++k) {
    const ImageScore& s = e.scores[k];
    text += fmt::format("\n{},{},{}", csv_field(e.pairs[k].stem), s.truth, s.prediction);
    for (const Metric& m : e.metrics)
      text += field(m.value(s));
    for (const double t : curve_thresholds())
      text += field(average_precision(s, t, e.dialect));
  }
  return text + "\n";
}

void print(const Evaluation& e) {
  const ImageScore pooled = pool(e.scores);
  fmt::print("{} images, {} true and {} predicted objects\n", e.pairs.size(), pooled.truth, pooled.prediction);
  for (const Metric& m : e.metrics)
    for (const Aggregation how : {Aggregation::mean, Aggregation::pooled}) {
      if (how == Aggregation::pooled && !m.pools) continue;
      const std::optional<double> v = aggregate(m, how, e.scores);
      fmt::print("{:<66} {}\n", full_name(m, how), v ? fmt::format("{:8.4f}", *v) : "       -");
    }
}

void run(const Options& options) {
  set_threads(options.threads);
  const Evaluation e = evaluate(options);
  if (!options.json.empty()) write_atomically(options.json, to_text(report(e, options), 1) + "\n");
  if (!options.csv.empty()) write_atomically(options.csv, table(e));
  if (!options.json.empty() || !options.csv.empty())
    write_run_json_beside(options.json.empty() ? options.csv : options.json);
  print(e);
}

}  // namespace

void add_evaluate(Command& program) {
  Command command = program.subcommand("evaluate", "score predicted label images against true ones");
  const auto options = std::make_shared<Options>();
  std::vector<std::string> dialects;
  for (const Dialect d : every_dialect)
    dialects.push_back(name_of(d));
  command.add("--pred", options->prediction, "predicted label images: a folder, or one file").required();
  command
      .add("--truth", options->truth,
           "true ones: a folder as train takes it, a folder of label images, a CSV list, or one file")
      .required();
  command
      .add("--dialect", options->dialect,
           "whose rules AP follows: stardist and cellpose match at IoU >= t, torchvf and dsb2018 at IoU > t")
      .one_of(dialects)
      .shown();
  command.add("--json", options->json, "write all scores to this file");
  command.add("--csv", options->csv, "write the scores of each image to this file, one row per image");
  command.add("--threads", options->threads, "CPU threads (0: all)").not_negative();
  command.runs([=] { run(*options); });
}

}  // namespace basin::tools

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "data/metrics/metrics.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "models/inference/agreement.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct CompareModelsArguments {
  Common common;
  std::string images, json, dialect = "stardist";
  std::vector<std::string> models;
};

/// A column of the table.
struct Cell {
  std::string column, name;  // name: in full, of the JSON
  std::optional<double> value;
  int decimals = 4;
};

/// What one model does on all images.
struct Row {
  std::string model;
  fs::path file;
  std::string method;
  std::vector<Cell> cells;
};

/// Whether labels lie beside the images, in any of the layouts of training data.
bool has_labels(const fs::path& source) {
  if (lower_extension(source) == ".csv") return true;
  if (!is_folder(source)) return false;
  const auto is_masks = [](const fs::path& path) {
    return is_folder(path) ? path.filename() == "masks" : stem_of(path).ends_with("_masks");
  };
  for (const auto& entry : fs::directory_iterator(source))
    if (is_masks(entry.path()) || fs::is_directory(entry.path() / "masks")) return true;
  return false;
}

/// The images, and their labels where they have some.
std::vector<Pair> images_of(const CompareModelsArguments& o) {
  if (has_labels(o.images)) return find_pairs(o.images);
  std::vector<Pair> all;
  for (const ImageFile& image : find_images(o.images))
    all.push_back({image.stem, image.path, {}});
  if (all.empty()) refuse(o.images, ": holds no images");
  return all;
}

/// Says on stderr how many of the images a model was trained on.
void report_seen(const std::string& name, const Json& info, const std::vector<Example>& examples) {
  const std::optional<std::set<std::string>> seen = training_images(info);
  if (!seen) return;
  const std::vector<std::string> images = image_fingerprints(examples);
  const auto n = std::count_if(images.begin(), images.end(), [&](const auto& image) { return seen->contains(image); });
  if (n > 0)
    std::fprintf(stderr, "basin: %s was trained on %s of these, which flatters its scores\n", name.c_str(),
                 counted(int64_t(n), "image").c_str());
}

/// The mean scores over images, by the rules of a dialect.
void add_scores(std::vector<Cell>& cells, const std::vector<ImageScore>& scores, Dialect dialect) {
  constexpr std::pair<const char*, const char*> columns[] = {
      {"AP50", "AP50"}, {"AP75", "AP75"}, {"count_MAE", "count error"}};
  for (const auto& [key, column] : columns)
    for (const Metric& m : metrics(dialect))
      if (m.key == key)
        cells.push_back({column, full_name(m, Aggregation::mean), aggregate(m, Aggregation::mean, scores)});
}

Row row_of(const Exec& exec, const std::string& name, const std::vector<Pair>& images, Dialect dialect) {
  Row row{name, model_file(name, "--models"), {}, {}};
  const Model model = load_model(row.file, exec);
  row.method = model.method->name();
  const SampleSpec spec = model.method->sample_spec();
  const std::optional<Appearance> trained = appearance_in(model.info);
  const bool labelled = !images.front().masks.empty();
  std::vector<Example> examples;
  if (labelled) {
    examples = read_examples(images, spec.channels, spec.normalisation);
    report_seen(name, model.info, examples);
  }
  std::vector<ImageScore> scores;                    // of images with labels
  std::vector<std::optional<double>> flips, scales;  // of images without
  double objects = 0, seconds = 0;
  const auto compare = [&](const Source& source, const Example* truth) {
    const double start = clock_seconds();
    SegmentOptions options;
    options.scale = stored_scale(model.info);  // as segment does by default
    if (searches_scale(model.info))
      options.scale = find_scale(exec, *model.method, *model.predictor, source, *trained).scale;
    const Labels labels = segment_source(exec, *model.method, *model.predictor, source, options).instances.labels;
    seconds += clock_seconds() - start;
    objects += labels.count;
    if (truth) {
      scores.push_back(score(true_labels(*truth), labels));
      return;
    }
    const Agreement a =
        agreement_of(exec, *model.method, *model.predictor, source, spec.normalisation, options, labels);
    flips.push_back(a.flips), scales.push_back(a.scales);
  };
  for (size_t k = 0; k < images.size(); ++k) {
    const std::string file = images[k].image.string();
    if (labelled)
      with_name(file, [&] { compare(examples[k].source, &examples[k]); });
    else
      compare(Source(read_image(file), spec.channels, spec.normalisation, file), nullptr);
    std::fprintf(stderr, "%s: %zu of %zu\n", name.c_str(), k + 1, images.size());
  }
  if (labelled) {
    add_scores(row.cells, scores, dialect);
  } else {
    row.cells.push_back({"flips", "objects found again in mirrored images", mean_of_defined(flips)});
    row.cells.push_back({"scales", "objects found again at 0.8 and 1.25 times the scale", mean_of_defined(scales)});
  }
  const double n = double(images.size());
  row.cells.push_back({"objects", "objects of an image", objects / n, 1});
  row.cells.push_back({"seconds", "seconds of an image", seconds / n, 3});
  return row;
}

void print(const std::vector<Row>& rows) {
  size_t width = 5;
  for (const Row& row : rows)
    width = std::max(width, row.model.size());
  fmt::print("{:<{}}  {:<6}", "model", width, "method");
  for (const Cell& cell : rows.front().cells)
    fmt::print("  {:>{}}", cell.column, std::max<size_t>(cell.column.size(), 7));
  fmt::print("\n");
  for (const Row& row : rows) {
    fmt::print("{:<{}}  {:<6}", row.model, width, row.method);
    for (const Cell& cell : row.cells)
      fmt::print("  {:>{}}", cell.value ? fmt::format("{:.{}f}", *cell.value, cell.decimals) : "-",
                 std::max<size_t>(cell.column.size(), 7));
    fmt::print("\n");
  }
}

Json json_of(const Row& row) {
  Json json{{"model", row.model},
            {"file", row.file.string()},
            {"model_fingerprint", fingerprint_of_file(row.file)},
            {"method", row.method}};
  for (const Cell& cell : row.cells)
    json[cell.name] = cell.value ? Json(*cell.value) : Json(nullptr);
  return json;
}

void run(const CompareModelsArguments& o) {
  for (const std::string& name : o.models)
    keep_inputs(o.json, {model_file(name, "--models")});
  const std::vector<Pair> images = images_of(o);
  for (const Pair& image : images)
    keep_inputs(o.json, {image.image}), keep_inputs(o.json, image.masks);
  const bool labelled = !images.front().masks.empty();
  if (!o.json.empty()) OutputFile(o.json);  // that it can be written is known before the work
  const Exec exec = make_exec(o.common);
  std::vector<Row> rows;
  for (const std::string& name : o.models)
    rows.push_back(row_of(exec, name, images, parse_dialect(o.dialect)));
  fmt::print("{}{}\n", counted(int64_t(images.size()), "image"),
             labelled ? ", with labels: AP by the rules of " + o.dialect + ", count error: |predicted - true|"
                      : ", without labels: the share of objects that are found again, which is no accuracy");
  print(rows);
  if (o.json.empty()) return;
  Json all{{"images", images.size()}, {"labels", labelled}, {"models", Json::array()}};
  for (const Row& row : rows)
    all["models"].push_back(json_of(row));
  write_atomically(o.json, to_text(all, 1) + "\n");
  write_run_json_beside(o.json);
}

}  // namespace

void add_compare_models(Command& program) {
  Command command = program.subcommand("compare-models", "compare models on images, with or without labels");
  auto o = std::make_shared<CompareModelsArguments>();
  command
      .add("IMAGES", o->images,
           "an image, a folder of images, or labelled images as train takes them, on which the models are scored")
      .required();
  command.add("--models", o->models, "model files, or names that `basin models` lists").list().required();
  command.add("--dialect", o->dialect, "whose rules AP follows, as in evaluate").one_of(dialect_names()).shown();
  command.add("--json", o->json, "write the table to this file");
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

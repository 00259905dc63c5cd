#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "data/arrays/zarr.h"
#include "data/metrics/truth_score.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "models/inference/agreement.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "models/inference/segmentation.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/cli/shipped_models.h"
#include "tools/results/report_pictures.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct CompareModelsArguments {
  Common common;
  std::string images, json, report, dialect = "stardist";
  std::vector<std::string> models;
  PlaneChoice choice;
  std::optional<int> ignore_label;
  int report_images = 6;
};

std::vector<std::string> files_to_write(const CompareModelsArguments& o) {
  std::vector<std::string> files;
  for (const std::string& file : {o.json, o.report})
    if (!file.empty()) files.push_back(file);
  return files;
}

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
  std::optional<int64_t> trained_on;  // how many of the images; none if it does not record its training images
  std::vector<Cell> cells;
  bool any_ignored = false;  // some labels have pixels with the value of --ignore-label
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
  std::vector<Pair> all;
  if (has_labels(o.images)) {
    all = find_pairs(o.images);
    if (holds_predictions(o.images)) report_notes({o.images + ": " + predictions_warning});
  } else {
    for (const ImageFile& image : find_images(o.images))
      all.push_back({image.stem, image.path, {}});
  }
  choose(all, o.choice);
  if (all.empty()) refuse(o.images, ": contains no images");
  return all;
}

/// Whether the images have labels: an image without any object may have no masks of objects.
bool is_labelled(const std::vector<Pair>& images) {
  return images.front().one_object_each || !images.front().masks.empty();
}

/// How many of the images a model was trained on; none if it does not record them.
std::optional<int64_t> count_seen(const Json& info, const std::vector<std::string>& images) {
  const std::optional<std::set<std::string>> seen = training_images(info);
  if (!seen) return {};
  return std::count_if(images.begin(), images.end(), [&](const std::string& image) { return seen->contains(image); });
}

/// "poor.safetensors was trained on 2 of these images, so its scores are too high", for each model with such images.
std::vector<std::string> seen_by(const std::vector<Row>& rows) {
  std::vector<std::string> sentences;
  for (const Row& row : rows)
    if (row.trained_on.value_or(0) > 0)
      sentences.push_back(row.model + " was trained on " + std::to_string(*row.trained_on) +
                          " of these images, so its scores are too high");
  return sentences;
}

/// The mean scores over images, by the rules of a dialect.
void add_scores(std::vector<Cell>& cells, const std::vector<ImageScore>& scores, Dialect dialect) {
  constexpr std::pair<const char*, const char*> columns[] = {
      {"AP50", "AP50"}, {"AP75", "AP75"}, {"count_MAE", "count error"}};
  Given given;
  for (const ImageScore& s : scores)
    given.planes = given.planes || s.from_planes;
  for (const auto& [key, column] : columns)
    for (const Metric& m : metrics(dialect, given))
      if (m.key == key)
        cells.push_back({column, full_name(m, Aggregation::mean), aggregate(m, Aggregation::mean, scores)});
}

/// What the page shows of one image; the picture of each model is added when that model has segmented it. `scored`:
/// only used with a truth.
void add_picture(const CompareModelsArguments& o, const std::string& model, const Pair& pair, const Image& image,
                 const Truth* truth, const Labels& found, const ImageScore& scored, ReportItem& item) {
  if (item.pictures.empty()) {
    item.name = pair.image.filename().string() + plane_suffix(pair);
    item.summary = fmt::format("{} x {} px", image.width, image.height);
    if (!PictureWindow(image.height, image.width).is_whole)
      item.summary += fmt::format("; the middle {} px are shown", PictureWindow::max_side);
    if (truth) item.pictures.push_back(objects_picture("truth", image, truth->objects));
  }
  if (!truth) {
    item.pictures.push_back(objects_picture(model, image, found));
    return;
  }
  item.pictures.push_back(errors_picture(model, image, *truth, found));
  const std::optional<double> ap = average_precision(scored, 0.5, parse_dialect(o.dialect));
  if (ap) item.pictures.back().caption += fmt::format(", AP50 {:.3f}", *ap);
}

/// `items`: the images that the page shows, which are the first ones.
Row row_of(const Exec& exec, const CompareModelsArguments& o, const std::string& name, const std::vector<Pair>& images,
           std::vector<ReportItem>& items) {
  Row row{name, model_file(name, "--models"), {}, {}, {}};
  const Model model = load_model(row.file, exec);
  row.method = model.method->name();
  const SampleSpec spec = model.method->sample_spec();
  const SegmentationPlan plan = with_name(name, [&] { return default_plan(*model.method, model.info); });
  const bool labelled = is_labelled(images);
  std::vector<Example> examples;
  if (labelled) {
    examples = read_examples(images, spec.channels, spec.normalisation, o.ignore_label);
    row.any_ignored = any_ignored(examples);
    row.trained_on = count_seen(model.info, image_fingerprints(examples));
    report_notes(seen_by({row}));
  }
  std::vector<ImageScore> scores;                    // of images with labels
  std::vector<std::optional<double>> flips, scales;  // of images without
  double objects = 0, seconds = 0;
  const auto compare = [&](size_t k, const Source& source) {
    const double start = clock_seconds();
    SegmentOptions options = plan.options;
    if (plan.finds_scale)
      options.scale = find_scale(exec, *model.method, *model.predictor, source, *plan.trained).scale;
    const Labels labels = segment_source(exec, *model.method, *model.predictor, source, options).instances.labels;
    seconds += clock_seconds() - start;
    objects += labels.count;
    std::optional<Truth> truth;  // whole objects, which an example does not have
    if (labelled) truth = read_truth(images[k], o.ignore_label);
    const ImageScore scored = truth ? score(*truth, labels) : ImageScore();
    if (k < items.size())
      add_picture(o, name, images[k], source.image(), truth ? &*truth : nullptr, labels, scored, items[k]);
    if (truth) {
      scores.push_back(scored);
      return;
    }
    const Agreement a =
        agreement_of(exec, *model.method, *model.predictor, source, spec.normalisation, options, labels);
    flips.push_back(a.flips), scales.push_back(a.scales);
  };
  for (size_t k = 0; k < images.size(); ++k) {
    const std::string file = images[k].image.string();
    if (labelled)
      with_name(file, [&] { compare(k, examples[k].source); });
    else
      compare(k, Source(read_image(file, images[k].choice), spec.channels, spec.normalisation, file));
    std::fprintf(stderr, "%s: %zu of %zu\n", name.c_str(), k + 1, images.size());
  }
  if (labelled) {
    add_scores(row.cells, scores, parse_dialect(o.dialect));
  } else {
    row.cells.push_back({"flips", "objects found again in mirrored images", mean_of_defined(flips)});
    row.cells.push_back({"scales", "objects found again at 0.8 and 1.25 times the scale", mean_of_defined(scales)});
  }
  const double n = double(images.size());
  row.cells.push_back({"objects", "objects of an image", objects / n, 1});
  row.cells.push_back({"seconds", "seconds of an image", seconds / n, 3});
  return row;
}

std::string text_of(const Cell& cell) { return cell.value ? fmt::format("{:.{}f}", *cell.value, cell.decimals) : "-"; }

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
      fmt::print("  {:>{}}", text_of(cell), std::max<size_t>(cell.column.size(), 7));
    fmt::print("\n");
  }
}

Json json_of(const Row& row) {
  Json json{{"model", row.model},
            {"file", row.file.string()},
            {"model_fingerprint", fingerprint_of_file(row.file)},
            {"method", row.method},
            {"trained_on", row.trained_on ? Json(*row.trained_on) : Json(nullptr)}};
  for (const Cell& cell : row.cells)
    json[cell.name] = cell.value ? Json(*cell.value) : Json(nullptr);
  return json;
}

/// The page: the table, and images with what each model finds in them.
Report page_of(const std::string& what, const std::vector<Row>& rows, std::vector<ReportItem> items) {
  ReportTable table{"Models", {"model", "method"}, {}, ""};
  for (const Cell& cell : rows.front().cells)
    table.columns.push_back(cell.column);
  for (const Row& row : rows) {
    table.rows.push_back({row.model, row.method});
    for (const Cell& cell : row.cells)
      table.rows.back().push_back(text_of(cell));
  }
  for (const std::string& sentence : seen_by(rows))
    table.note += (table.note.empty() ? "" : "; ") + sentence;
  return {"Comparison of models", what, {std::move(table)}, std::move(items)};
}

/// Throws if an image has channels that a model does not take.
void check_channels_of(const std::map<std::string, int>& wanted, const std::vector<Pair>& images) {
  for (const Pair& pair : images) {
    const Image image = read_image(pair.image, pair.choice);
    for (const auto& wanted_by : wanted)
      with_name(wanted_by.first, [&] { check_channels(channels_of(image), wanted_by.second, pair.image.string()); });
  }
}

void run(const CompareModelsArguments& o) {
  std::map<std::string, int> channels;
  for (const std::string& name : o.models)  // all models are checked before the work begins
    channels[name] = load_model(model_file(name, "--models"), {}).method->sample_spec().channels;
  const std::vector<std::string> written = files_to_write(o);
  for (const std::string& file : written)
    for (const std::string& name : o.models)
      keep_inputs(file, {model_file(name, "--models")});
  const std::vector<Pair> images = images_of(o);
  for (const std::string& file : written) {
    for (const Pair& image : images)
      keep_inputs(file, {image.image}), keep_inputs(file, image.masks);
    OutputFile{file};  // throws before the work begins if the file cannot be written
  }
  check_channels_of(channels, images);
  const bool labelled = is_labelled(images);
  if (o.ignore_label && !labelled)
    refuse("--ignore-label ", *o.ignore_label, ": ", o.images, " has no labels to score by");
  const Exec exec = make_exec(o.common);
  std::vector<Row> rows;
  std::vector<ReportItem> items(o.report.empty() ? 0 : std::min(images.size(), size_t(o.report_images)));
  for (const std::string& name : o.models)
    rows.push_back(row_of(exec, o, name, images, items));
  if (o.ignore_label && !rows.front().any_ignored) report_notes({unused_label(*o.ignore_label)});
  const std::string what =
      counted(int64_t(images.size()), "image") +
      (labelled ? ", with labels: AP by the rules of " + o.dialect + ", count error: |predicted - true|"
                : ", without labels: the fraction of objects that are found again, which does not measure accuracy");
  fmt::print("{}\n", what);
  print(rows);
  if (!o.report.empty()) {
    write_report(o.report, page_of(what, rows, std::move(items)));
    write_run_json_beside(o.report);
  }
  if (o.json.empty()) return;
  Json all{{"images", images.size()}, {"labels", labelled}, {"models", Json::array()}};
  if (o.ignore_label) all["ignore_label"] = *o.ignore_label;
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
  command.add("--dialect", o->dialect, "the definition of AP to use, as in evaluate").one_of(dialect_names()).shown();
  command.add("--json", o->json, "write the table to this file").output();
  command.add("--report", o->report, "write an HTML page with the table, and pictures of what each model finds")
      .output();
  command.add("--report-images", o->report_images, "images that the page shows, the first ones").not_negative().shown();
  add_ignore_label_option(command, o->ignore_label);
  add_plane_options(command, o->choice);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

#include <fmt/format.h>

#include <cstdio>

#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/inference/tuning.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/cli/setting_options.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace {

constexpr size_t shown = 5;  // rows of the table, best first

struct TuneArguments {
  Common common;
  std::string model, data, val, out, scale, dialect = "stardist", by = "AP50:95";
  double val_fraction = 0.1;
  CandidateOptions candidates;
  PlaneChoice choice;
  std::optional<int> ignore_label;
  bool tta = false;
};

/// The labelled images to score: all of --val, or those that training holds out of --data.
std::vector<Pair> validation_pairs(const TuneArguments& o) {
  if (o.val.empty() == o.data.empty()) refuse("tune: give --val, or --data to use the images that training held out");
  if (!o.val.empty()) return find_pairs(o.val);
  std::vector<Pair> held = split_for_validation(find_pairs(o.data), o.val_fraction).held_out;
  if (held.empty()) refuse(o.data, ": --val-fraction ", o.val_fraction, " holds out no image; give a larger fraction");
  return held;
}

/// Leaves out, and reports, the images that the model was trained on: scores on them would be too high.
void leave_out_seen(const TuneArguments& o, const Json& info, std::vector<Example>& examples) {
  const std::optional<std::set<std::string>> seen = training_images(info);
  if (!seen) {
    std::fprintf(stderr, "%s does not record its training images: make sure that none of these is among them\n",
                 o.model.c_str());
    return;
  }
  const std::vector<std::string> images = image_fingerprints(examples);
  std::vector<Example> others;
  for (size_t i = 0; i < images.size(); ++i) {
    if (!seen->contains(images[i]))
      others.push_back(std::move(examples[i]));
    else
      std::fprintf(stderr, "%s: left out, because %s was trained on it\n", examples[i].stem.c_str(), o.model.c_str());
  }
  if (others.empty()) refuse("tune: ", o.model, " was trained on all of these images; give others");
  examples = std::move(others);
}

/// The tuned settings as columns of a table.
class Table {
 public:
  Table(const Settings& settings, const DecodingGrid& grid) {
    for (const Candidates& c : grid)
      columns_.push_back(&settings.find(c.key));
  }

  void print(const std::vector<Json>& decodings, const std::vector<ValidationScores>& scores,
             const std::vector<size_t>& order) const {
    fmt::print("{:>7}", "");
    for (const Setting* column : columns_)
      fmt::print(" {:>{}}", column->key, width(*column));
    fmt::print(" {:>8} {:>7} {:>7} {:>7} {:>8}\n", "AP50", "AP75", "AP90", "AP50:95", "objects");
    for (size_t k = 0; k < std::min(shown, order.size()); ++k)
      print_row(std::to_string(k + 1), decodings[order[k]], scores[order[k]]);
    print_row("present", decodings[0], scores[0]);
  }

  /// A decoding and its scores, for run.json.
  Json tried(const Json& decoding, const ValidationScores& s) const {
    Json j = Json::object();
    for (const Setting* column : columns_) {
      const Json& value = decoding[column->key];
      j[column->key] = value.is_number() ? value : Json(column->text_of(value));
    }
    j.update(to_json(s));
    j["objects, predicted - true"] = s.objects;
    return j;
  }

 private:
  static size_t width(const Setting& s) { return std::max<size_t>(s.key.size(), 6); }
  void print_row(const std::string& rank, const Json& decoding, const ValidationScores& s) const {
    fmt::print("{:>7}", rank);
    for (const Setting* column : columns_)
      fmt::print(" {:>{}}", column->text_of(decoding[column->key]), width(*column));
    fmt::print(" {:>8.4f} {:>7.4f} {:>7.4f} {:>7.4f} {:>+8.1f}\n", s.ap50, s.ap75, s.ap90, s.ap, s.objects);
  }

  std::vector<const Setting*> columns_;
};

void run(const TuneArguments& o) {
  const std::filesystem::path model_path = model_file(o.model);
  keep_inputs(o.out, {model_path});
  OutputFile(o.out);  // fails early if the file cannot be written
  const Dialect dialect = parse_dialect(o.dialect);
  const Exec exec = make_exec(o.common);
  Model model = load_model(model_path, exec);
  resolve_setting("model", model_path.string());
  Method& method = *model.method;
  if (o.scale == "auto" && method.sees_one_size())
    refuse("--scale auto: the network of ", method.name(), " sees every image at one size");
  if (o.scale == "auto" && !has_object_sizes(model.info))
    refuse("--scale auto: ", o.model, " does not record the size of the objects that it was trained on");
  check_tta(o.tta, method);
  const DecodingGrid grid = o.candidates.grid(method.settings(), method.name());
  if (grid.empty()) refuse(o.model, ": the method ", method.name(), " has no decoding to tune");
  const std::vector<Json> decodings = decodings_to_try(method.settings(), grid);
  check_decodings(method, grid, decodings);
  const Table table(method.settings(), grid);
  std::vector<Pair> pairs = validation_pairs(o);
  choose(pairs, o.choice);
  std::fputs(describe_pairs(pairs).c_str(), stderr);
  for (const Pair& pair : pairs)
    keep_inputs(o.out, {pair.image}), keep_inputs(o.out, pair.masks);
  const SampleSpec spec = method.sample_spec();
  std::vector<Example> examples = read_examples(pairs, spec.channels, spec.normalisation, o.ignore_label);
  if (o.ignore_label && !any_ignored(examples)) report_notes({unused_label(*o.ignore_label)});
  leave_out_seen(o, model.info, examples);
  report_converted(converted(examples), spec.channels);

  SegmentOptions options;
  if (o.scale != "1") options.scale = with_name(o.model, [&] { return stored_scale(model.info); });
  options.tta = o.tta;
  size_t done = 0;
  const std::vector<ValidationScores> scores = try_decodings(
      exec, method, *model.predictor, examples, decodings, dialect, options,
      [&](const Example& e) { std::fprintf(stderr, "%zu of %zu: %s\n", ++done, examples.size(), e.stem.c_str()); });
  const std::vector<size_t> order = ranking(scores, o.by);
  const size_t best = order[0];
  const std::string by = full_name(o.by, dialect);
  fmt::print("{}, {}, sorted by {}; objects: predicted minus true, mean over images\n",
             counted(int64_t(examples.size()), "image"), counted(int64_t(decodings.size()), "decoding"), by);
  table.print(decodings, scores, order);

  const Json before = table.tried(decodings[0], scores[0]);
  method.settings().set_decoding(decodings[best]);
  Json info = model.info;
  info["config"] = method.config();
  if (o.scale == "auto") info["scale"] = o.scale;
  if (o.scale == "1") info["scale"] = 1;
  info["validation"] = to_json(scores[best]);
  info["tuning"] = {
      {"by", by},     {"images", examples.size()}, {"data", fingerprint(examples)}, {"decodings", decodings.size()},
      {"tta", o.tta}, {"before", before}};
  if (o.ignore_label) info["tuning"]["ignore_label"] = *o.ignore_label;
  save_model(o.out, exec, method, info);
  fmt::print("{}: {}\n", o.out,
             best == 0 ? "keeps the model's decoding, the best of those tried" : "stored decoding 1 of the table");

  Json all = Json::array();
  for (const size_t k : order)
    all.push_back(table.tried(decodings[k], scores[k]));
  write_run_json(o.out + ".run.json", {{"model_fingerprint", fingerprint_of_file(model_path)},
                                       {"validation_images", examples.size()},
                                       {"by", by},
                                       {"config", method.config()},
                                       {"present", before},
                                       {"decodings", all}});
}

}  // namespace

void add_tune(Command& program) {
  Command command =
      program.subcommand("tune", "find the best decoding settings on labelled images and store them in the model");
  auto o = std::make_shared<TuneArguments>();
  command.add("--model", o->model, "a .safetensors file, or a name that `basin models` lists").model().required();
  const Option val = command.add("--val", o->val, "folder of labelled images that the model was not trained on");
  command.add("--data", o->data, "the training folder, of which the held-out part is used, instead of --val")
      .excludes(val);
  command.add("--val-fraction", o->val_fraction, "fraction of --data that training held out")
      .within(0., 0.9)
      .shown()
      .excludes(val);
  command.add("--out", o->out, "the model with the best decoding; all scores are written to OUT.run.json")
      .output()
      .required();
  o->candidates.add_to(command);
  command.add("--by", o->by, "score to maximise, mean over images").one_of({"AP50:95", "AP50", "AP75", "AP90"}).shown();
  command.add("--dialect", o->dialect, "the definition of AP to use, as in evaluate").one_of(dialect_names()).shown();
  add_ignore_label_option(command, o->ignore_label);
  add_tta_option(command, o->tta);
  command
      .add("--scale", o->scale,
           "default of `segment --scale` in the stored model: 1 or auto; if not given, it stays as it is. tune itself "
           "segments all images at 1, or at the scale that the model was trained at")
      .one_of({"1", "auto"});
  add_plane_options(command, o->choice);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

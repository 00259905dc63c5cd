#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>

#include "data/dataset/dataset.h"
#include "data/files/npy.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/fingerprint.h"
#include "engine/json.h"
#include "models/inference/appearance.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "models/inference/segmenter.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/result_files.h"
#include "tools/cli/run_json.h"
#include "tools/cli/savers.h"
#include "tools/cli/setting_options.h"
#include "tools/cli/shipped_models.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct Options {
  Common common;
  std::vector<std::string> inputs, save{"labels", "overlay"};
  std::string model, out, tiling, norm, scale;
  std::optional<int> tile, overlap;
  std::optional<double> diameter;
  SettingOptions settings;
  PlaneChoice choice;
  ObjectFilter filter;
  bool tta = false;
};

void save_map(const Exec& exec, const fs::path& path, const Tensor& map) {
  const Tensor here = map.to_host(exec);
  write_npy(path, {map.dim(0), map.dim(1), map.dim(2)}, here.data<const float>());
}

/// How images are tiled. --tile or --overlap without --tiling selects the published (dynamic) tiling.
TilingOptions tiling_of(const Options& o) {
  TilingOptions tiling;
  if (!o.tiling.empty())
    tiling.tiling = parse_tiling(o.tiling);
  else if (o.tile || o.overlap)
    tiling.tiling = Tiling::dynamic;
  if (o.tile) tiling.tile = *o.tile;
  if (o.overlap) tiling.overlap = *o.overlap;
  return tiling;
}

struct Seconds {
  double read = 0, scale = 0, network = 0, decode = 0, write = 0;
};

/// Which inputs were segmented and which failed: one bad image does not stop the others.
struct Outcome {
  std::vector<ImageFile> images;    // to be segmented
  std::vector<std::string> failed;  // images and inputs
  size_t done = 0, converted = 0;   // converted: between grey and RGB
  Seconds seconds;
  Json remarks = Json::array(), scales = Json::array(), dropped = Json::array();
  NoteList notes;  // what reading images changed or left out

  void fail(const fs::path& path, const char* why) {
    std::fprintf(stderr, "basin: %s\n", why);
    failed.push_back(path.string());
  }
  /// Reports something that is not an error but may surprise the user.
  void remark(const std::string& path, const std::string& what) {
    std::fprintf(stderr, "basin: %s: %s\n", path.c_str(), what.c_str());
    remarks.push_back({{"image", path}, {"remark", what}});
  }
  void note_dropped(const std::string& path, const Dropped& objects) {
    Json entry{{"image", path}};
    entry.update(to_json(objects));
    dropped.push_back(std::move(entry));
  }
  [[noreturn]] void refuse_failed() const {
    refuse(failed.size(), " of ", failed.size() + done, " inputs could not be segmented");
  }
};

/// Calls f. If it throws, the error is reported and `path` is noted as failed.
template <class F>
void attempt(Outcome& outcome, const fs::path& path, F f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    outcome.fail(path, (path.string() + ": not enough memory to segment this image").c_str());
  } catch (const std::exception& e) {
    outcome.fail(path, e.what());
  }
}

/// Finds the images of the inputs; reports on stderr what is left out.
Outcome find_inputs(const std::vector<std::string>& inputs) {
  Outcome outcome;
  std::vector<InputImages> found;
  std::vector<std::string> left_out;
  for (const std::string& input : inputs)
    attempt(outcome, input, [&] { found.push_back({input, find_images(input, &left_out)}); });
  outcome.images = merge_images(found, left_out);
  report_notes(left_out);
  return outcome;
}

/// What segmentation of every image needs.
struct Work {
  Exec exec;
  Model model;
  Normalisation norm;
  SegmentOptions options;
  bool finds_scale = false;  // of each image
  std::optional<Appearance> trained;
  std::set<std::string> save;
  PlaneChoice choice;
  ObjectFilter filter;

  /// Whether the foreground probability is saved, or measured in objects.
  bool needs_foreground() const {
    if (model.method->foreground_logit().empty()) return false;
    return save.contains("probability") || save.contains("csv") || save.contains("geojson");
  }
};

double parse_scale(const std::string& text) {
  double scale = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), scale);
  if (error != std::errc() || end != text.data() + text.size() || !(scale >= min_scale && scale <= max_scale))
    refuse("--scale ", text, ": expected auto or a number from ", min_scale, " to ", max_scale);
  return scale;
}

/// The scale at which the network sees images: as given, or so that objects of the given diameter look as large as
/// those the model was trained on. Without either, as the model was trained, or searched for each image if it says so.
void choose_scale(const Options& o, Work& work) {
  const auto need_sizes = [&](const char* option) {
    if (!has_object_sizes(work.model.info))
      refuse(option, ": ", o.model,
             " does not record the size of the objects that it was trained on; give a number as --scale instead");
  };
  if (o.diameter) {
    need_sizes("--diameter");
    work.options.scale = work.trained->diameter / *o.diameter;
  } else if (o.scale.empty()) {
    work.finds_scale = searches_scale(work.model.info);
    work.options.scale = with_name(o.model, [&] { return stored_scale(work.model.info); });
  } else if (o.scale == "auto") {
    need_sizes("--scale auto");
    work.finds_scale = true;
  } else {
    work.options.scale = parse_scale(o.scale);
  }
  resolve_setting("scale", work.finds_scale ? Json("auto") : Json(work.options.scale));
}

/// Throws if --save names something that the method does not produce.
void check_kinds(const std::set<std::string>& save, const Method& method) {
  std::vector<std::string> known;
  for (const Saver& saver : savers())
    if (saver.needs != Saver::Needs::foreground || !method.foreground_logit().empty()) known.push_back(saver.kind);
  for (const MapSpec& map : method.maps())
    known.push_back(map.name);
  for (const std::string& kind : save)
    if (std::find(known.begin(), known.end(), kind) == known.end())
      refuse("--save ", kind, ": a ", method.name(), " model can save ", in_words(known));
}

/// At which scale the network sees an image, where that is not fixed for all of them.
double find_scale_of(const Work& work, const std::string& name, const Source& source, Outcome& outcome) {
  const double start = clock_seconds();
  const FoundScale found = with_name(
      name, [&] { return find_scale(work.exec, *work.model.method, *work.model.predictor, source, *work.trained); });
  outcome.seconds.scale += clock_seconds() - start;
  outcome.scales.push_back({{"image", name}, {"scale", found.scale}});
  if (found.diameter == 0) outcome.remark(name, "no scale shows objects of the training's size, so it keeps scale 1");
  return found.scale;
}

/// Segments an image, writes its files and returns what was found, in words.
std::string segment_image(const Work& work, const fs::path& path, ImageFiles& files, Outcome& outcome) {
  Seconds& seconds = outcome.seconds;
  const double start = clock_seconds();
  const Source source(read_image(path, work.choice), work.model.method->sample_spec().channels, work.norm,
                      path.string());
  outcome.notes.add(path.string(), source.image().notes);
  outcome.converted += source.image().channels != source.channels();
  seconds.read += clock_seconds() - start;
  const Model& model = work.model;
  Results results;
  const auto save_maps = [&](const Maps& maps) {
    const double begin = clock_seconds();
    for (const auto& [name, map] : maps.tensors)
      if (work.save.contains(name))
        files.write("_" + name + ".npy", [&](const fs::path& file) { save_map(work.exec, file, map); });
    if (work.needs_foreground()) results.foreground = foreground_probability(work.exec, *model.method, maps);
    seconds.write += clock_seconds() - begin;
  };
  SegmentOptions options = work.options;
  if (work.finds_scale) options.scale = find_scale_of(work, path.string(), source, outcome);
  Segmentation s = with_name(path.string(), [&] {
    return segment_source(work.exec, *model.method, *model.predictor, source, options, save_maps);
  });
  seconds.network += s.network_seconds, seconds.decode += s.decode_seconds;
  Labels& labels = s.instances.labels;
  const std::vector<std::string> remarks = remarks_on(source, labels, work.trained, options.scale, work.norm);
  const double begin = clock_seconds();
  const Dropped dropped = filter_objects(work.filter, labels, s.instances.scores);
  results.path = path, results.image = &source.image(), results.labels = &labels;
  results.scores = std::move(s.instances.scores);
  save_results(work.save, results, files);
  const bool gives_scores = model.method->gives_scores(), saves_labels = work.save.contains("labels");
  if (gives_scores && saves_labels)
    files.write(scores_suffix, [&](const fs::path& file) { write_scores(file, results.scores); });
  files.keep();
  if (saves_labels) files.remove_other_labels(masks_suffix(labels), gives_scores);
  seconds.write += clock_seconds() - begin;
  for (const std::string& remark : remarks)
    outcome.remark(path.string(), remark);
  if (work.filter.does_anything()) outcome.note_dropped(path.string(), dropped);
  return describe_objects(labels, work.filter, dropped) +
         (work.finds_scale ? fmt::format(", scale {:g}", options.scale) : "");
}

void run(const Options& o) {
  Work work;
  const fs::path model_path = model_file(o.model);
  work.exec = make_exec(o.common);
  work.model = load_model(model_path, work.exec);
  resolve_setting("model", model_path.string());
  const Method& method = *work.model.method;
  o.settings.apply_to(*work.model.method);
  work.norm = o.norm.empty() ? method.sample_spec().normalisation : parse_normalisation(o.norm);
  work.options.tiling = tiling_of(o);
  check(work.options.tiling, method.sample_spec().multiple);
  resolve_setting("tiling", to_string(work.options.tiling.tiling));
  work.save = {o.save.begin(), o.save.end()};
  check_kinds(work.save, method);
  work.trained = appearance_in(work.model.info);
  choose_scale(o, work);
  check_tta(o.tta, method);
  work.options.tta = o.tta;
  work.choice = o.choice;
  check(o.filter);
  work.filter = o.filter;
  if (work.model.info.contains("source"))  // a checkpoint that Basin did not write
    std::fprintf(stderr, "basin: %s: contains no settings; uses the method's default normalisation (%s) and decoding\n",
                 o.model.c_str(), to_string(method.sample_spec().normalisation).c_str());

  Outcome outcome = find_inputs(o.inputs);
  if (outcome.images.empty()) outcome.refuse_failed();
  const bool filled_before = made_by("segment", fs::path(o.out) / "run.json");
  for (const ImageFile& image : outcome.images)
    keep_labels(image.stem, o.out, filled_before, work.save);
  make_folder(o.out);
  for (const ImageFile& image : outcome.images)
    attempt(outcome, image.path, [&] {
      if (image.stem.find('/') != std::string::npos)
        fs::create_directories((fs::path(o.out) / image.stem).parent_path());
      ImageFiles files(fs::path(o.out) / image.stem);
      const std::string found = segment_image(work, image.path, files, outcome);
      std::printf("%s: %s\n", image.path.string().c_str(), found.c_str());
      std::fflush(stdout);
      ++outcome.done;
    });
  report_notes(outcome.notes.lines());
  report_converted(outcome.converted, method.sample_spec().channels);
  const Seconds& s = outcome.seconds;
  const std::string scale_time = work.finds_scale ? fmt::format("scale {:.3f} s, ", s.scale) : "";
  std::printf("%s: read %.3f s, %snetwork %.3f s, decode %.3f s, write %.3f s\n",
              counted(int64_t(outcome.done), "image").c_str(), s.read, scale_time.c_str(), s.network, s.decode,
              s.write);
  Json seconds{{"read", s.read}, {"network", s.network}, {"decode", s.decode}, {"write", s.write}};
  if (work.finds_scale) seconds["scale"] = s.scale;
  write_run_json(fs::path(o.out) / "run.json", {{"images", outcome.done},
                                                {"converted", outcome.converted},
                                                {"failed", outcome.failed},
                                                {"remarks", outcome.remarks},
                                                {"scales", outcome.scales},
                                                {"dropped", outcome.dropped},
                                                {"model_fingerprint", fingerprint_of_file(model_path)},
                                                {"config", method.config()},
                                                {"norm", to_string(work.norm)},
                                                {"seconds", seconds}});
  if (!outcome.failed.empty()) outcome.refuse_failed();
}

}  // namespace

void add_segment(Command& program) {
  Command command = program.subcommand("segment", "segment images with a trained model");
  auto o = std::make_shared<Options>();
  command.add("INPUT", o->inputs, "images, or folders of images").required();
  command.add("--model", o->model, "a .safetensors file, or a name that `basin models` lists").model().required();
  command.add("--out", o->out, "output folder").required();
  command
      .add("--save", o->save,
           "what to write: labels (with _scores.csv if the method gives scores), overlay, outlines, rois (ImageJ), "
           "geojson (QuPath), csv (measurements), npy (Cellpose), probability, and maps of the network such as field "
           "and logit")
      .list()
      .shown();
  command.add(
      "--tiling", o->tiling,
      "how images are tiled for the network. fit: the whole image, or if it is large the exact tiles that cost least; "
      "exact: tiles of --tile that give the same result; dynamic, pad, resize: averages of overlapping tiles, as "
      "published. Default: fit, or dynamic if --tile or --overlap is given");
  command.add("--tile", o->tile, "side of a tile, px; default: 256").positive();
  command.add("--overlap", o->overlap, "dynamic, pad, resize: overlap of neighbouring tiles, px; default: 50")
      .not_negative();
  const Option scale =
      command.add("--scale", o->scale,
                  "scale images by this factor before segmentation: 0.5 halves width and height; auto finds for each "
                  "image the scale at which its objects are as large as in training; default: the model's");
  command
      .add("--diameter", o->diameter,
           "typical object diameter, px: images are scaled so that objects are as large as those the model was trained "
           "on")
      .within(0.5, 100000.)
      .excludes(scale);
  command.add("--norm", o->norm, "normalisation: divide, percentile:LOW,HIGH or none; default: the model's");
  add_tta_option(command, o->tta);
  add_filter_options(command, o->filter);
  o->settings.add_to(command, {Setting::Use::decoding}, "the model's");
  add_plane_options(command, o->choice);
  add_precision_option(command, o->common);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

#include <cstdio>
#include <filesystem>
#include <memory>
#include <numeric>

#include "data/dataset/dataset.h"
#include "data/objects/write_stack.h"
#include "engine/files.h"
#include "engine/json.h"
#include "models/inference/segmenter.h"
#include "models/registry.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/label_inputs.h"
#include "tools/cli/run_json.h"
#include "tools/cli/setting_options.h"
#include "tools/results/result_files.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct OracleArguments {
  Common common;
  std::vector<std::string> inputs;
  std::string model = default_method(), out;
  PlaneChoice choice;
  SettingOptions settings;
};

/// What decoding finds in the maps of a perfect network, for one label image or one plane of a stack.
struct OracleResult {
  int64_t true_objects = 0;
  Instances found;
  bool overlap = false;  // the true objects share pixels, and the maps are those of whole objects
};

/// `notes`: what reading the labels changed, and remarks on what was found.
OracleResult oracle_result(const Exec& exec, const Method& method, const Pair& pair, NoteList& notes) {
  const std::string name = labels_path(pair).string();
  const int layers = method.sample_spec().layers;
  const TrainingLabels truth = read_training_labels(pair, layers);
  const int height = truth.flat.height;
  notes.add(name, truth.flat.notes);
  if (truth.layers_needed > layers) notes.add(name, {overlap_note(layers, {truth.layers_needed})});
  Instances found = with_name(name + plane_suffix(pair), [&] {
    Maps maps = truth.layers ? method.layered_oracle(exec, *truth.layers, truth.layers->height / height)
                             : method.oracle(exec, truth.flat);
    maps.height = height, maps.width = truth.flat.width;
    return decode_to_size(exec, method, std::move(maps));
  });
  notes.add(name + plane_suffix(pair), found.remarks);
  return {truth.layers ? truth.layers->count : truth.flat.count, std::move(found), truth.layers.has_value()};
}

/// Writes the file with this suffix, and removes those with objects of the same image that an earlier run wrote. Scores
/// are of other origin, because this command writes none.
template <class F>
void write_objects(const fs::path& base, const std::string& suffix, NoteList& notes, const F& write) {
  ImageFiles files(base);
  files.write(suffix, write);
  files.keep();
  files.remove_other_objects({suffix, scores_suffix}, notes);
}

/// The result of one label image, or of a stack of masks of objects. Returns a line about it.
std::string decode_image(const Exec& exec, const Method& method, const Pair& pair, const fs::path& base,
                         NoteList& notes) {
  const OracleResult one = oracle_result(exec, method, pair, notes);
  const Labels& labels = one.found.labels;
  if (one.overlap)
    write_objects(base, instances_suffix, notes, [&](const fs::path& file) {
      write_instances(file, one.found.planes ? *one.found.planes : masks_of(labels), {});
    });
  else
    write_objects(base, masks_suffix(labels), notes, [&](const fs::path& file) { write_labels(file, labels); });
  return counted(one.true_objects, "object") + ", " + counted(labels.count, "object") + " after decoding";
}

/// The same for a stack of labels, plane by plane.
std::string decode_stack(const Exec& exec, const Method& method, const std::vector<Pair>& planes,
                         const PlaneChoice& choice, const fs::path& base, NoteList& notes) {
  LabelStack stack(planes_in_labels(planes[0].masks[0], choice));
  int64_t true_objects = 0, objects = 0;
  for (const Pair& plane : planes) {
    const OracleResult one = oracle_result(exec, method, plane, notes);
    std::vector<int32_t> numbers(size_t(one.found.labels.count));
    std::iota(numbers.begin(), numbers.end(), 1);
    stack.add(one.found.labels, numbers);
    true_objects += one.true_objects, objects += one.found.labels.count;
  }
  write_objects(base, "_masks.tif", notes, [&](const fs::path& file) { stack.write(file); });
  return counted(int64_t(planes.size()), "plane") + ", " + counted(true_objects, "object") + ", " +
         counted(objects, "object") + " after decoding";
}

void run(const OracleArguments& o) {
  const std::unique_ptr<Method> defaults = make_method(o.model, {});
  const std::unique_ptr<Method> method = make_method(o.model, o.settings.assignments(defaults->settings(), o.model));
  const Exec exec = make_exec(o.common);
  const std::map<std::string, Pair> inputs = labels_of_inputs(o.inputs, o.choice);
  const bool filled_before = made_by("oracle", fs::path(o.out) / "run.json");
  for (const auto& [stem, pair] : inputs) {
    for (const char* suffix : masks_suffixes)
      keep_inputs(fs::path(o.out) / (stem + suffix), pair.masks);
    keep_inputs(fs::path(o.out) / (stem + instances_suffix), pair.masks);
    keep_labels(stem, o.out, filled_before, {"labels"}, true);
  }
  make_folder(o.out);
  NoteList notes;
  for (const auto& [stem, pair] : inputs) {
    const fs::path base = fs::path(o.out) / stem;
    std::vector<Pair> planes{pair};
    if (!is_instances(labels_path(pair))) choose(planes, o.choice);
    const std::string line = planes.size() > 1 ? decode_stack(exec, *method, planes, o.choice, base, notes)
                                               : decode_image(exec, *method, planes[0], base, notes);
    std::printf("%s: %s\n", labels_path(pair).string().c_str(), line.c_str());
  }
  report_notes(notes.lines());
  write_run_json(fs::path(o.out) / "run.json", {{"config", method->config()}, {"images", inputs.size()}});
}

}  // namespace

void add_oracle(Command& program) {
  Command command = program.subcommand(
      "oracle", "encode label images as a method's maps and decode them: the result of a perfect network");
  auto o = std::make_shared<OracleArguments>();
  command.add("LABELS", o->inputs, "label images, or folders of label images").required();
  command.add("--model", o->model, "method; `basin methods` lists them").one_of(method_names()).shown();
  command
      .add("--out", o->out,
           "folder for the label images, <stem>_masks.png (.tif for stacks; <stem>_instances.tif for "
           "objects that share pixels)")
      .required();
  o->settings.add_to(command, {Setting::Use::training, Setting::Use::decoding}, "the method's");
  add_plane_options(command, o->choice, Reads::labels);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

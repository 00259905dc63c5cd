#include <cstdio>
#include <filesystem>
#include <memory>

#include "data/dataset/dataset.h"
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

void run(const OracleArguments& o) {
  const std::unique_ptr<Method> defaults = make_method(o.model, {});
  const std::unique_ptr<Method> method = make_method(o.model, o.settings.assignments(defaults->settings(), o.model));
  const Exec exec = make_exec(o.common);
  const std::map<std::string, Pair> inputs = labels_of_inputs(o.inputs, o.choice);
  const bool filled_before = made_by("oracle", fs::path(o.out) / "run.json");
  for (const auto& [stem, pair] : inputs) {
    for (const char* suffix : masks_suffixes)
      keep_inputs(fs::path(o.out) / (stem + suffix), pair.masks);
    keep_labels(stem, o.out, filled_before, {"labels"});
  }
  make_folder(o.out);
  NoteList notes;
  for (const auto& [stem, pair] : inputs) {
    const Labels labels = read_pair_labels(pair);
    notes.add(labels_path(pair).string(), labels.notes);
    const Instances found = with_name(labels_path(pair).string(), [&] {
      Maps maps = method->oracle(exec, labels);
      maps.height = labels.height, maps.width = labels.width;
      return decode_to_size(exec, *method, std::move(maps));
    });
    notes.add(labels_path(pair).string(), found.remarks);
    write_labels(fs::path(o.out) / (stem + masks_suffix(found.labels)), found.labels);
    std::printf("%s: %s, %s after decoding\n", labels_path(pair).string().c_str(),
                counted(labels.count, "object").c_str(), counted(found.labels.count, "object").c_str());
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
  command.add("--out", o->out, "folder for the label images, <stem>_masks.png").required();
  o->settings.add_to(command, {Setting::Use::training, Setting::Use::decoding}, "the method's");
  add_plane_options(command, o->choice, Reads::labels);
  add_device_options(command, o->common);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "data/checks/training_set.h"
#include "engine/files.h"
#include "engine/json.h"
#include "models/inference/appearance.h"
#include "models/registry.h"
#include "models/training/trainer.h"
#include "tools/cli/command.h"
#include "tools/cli/counted.h"
#include "tools/cli/run_json.h"
#include "tools/training/training_data.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

constexpr size_t max_lines = 10;  // files that are listed of each kind of finding

struct CheckDataArguments {
  std::vector<std::string> folders;
  std::string val, method = default_method(), norm, json;
  double val_fraction = 0.1, scale = 1;
  std::optional<int> crop, ignore_label;
  PlaneChoice choice;
  int channels = 0, threads = 0;
  bool strict = false;
};

/// The pairs of a folder. What prevents pairing becomes a finding.
std::vector<Pair> pairs_in(const fs::path& folder, std::vector<Finding>& findings) {
  std::vector<std::string> left_out;
  std::vector<PairingFault> faults;
  std::vector<Pair> pairs;
  try {
    pairs = find_pairs(folder, &left_out, &faults);
  } catch (const Error& e) {
    findings.push_back({Severity::error, "folders that cannot be used", "", e.what(), ""});
  }
  for (const PairingFault& f : faults)
    findings.push_back({Severity::error, f.kind, f.file, f.text, f.advice});
  if (holds_predictions(folder))
    findings.push_back({Severity::warning, "labels that are predictions", folder.string(), predictions_warning,
                        "keep true labels in another folder"});
  for (const std::string& sentence : left_out)
    findings.push_back({Severity::note, "files left out", "", sentence, ""});
  return pairs;
}

/// "12 images of 512 x 512 px, 16-bit, 1 channel", the most frequent first.
std::vector<std::string> kinds_of_images(const std::vector<CheckedPair>& pairs, bool validation) {
  std::map<std::string, int64_t> counts;
  for (const CheckedPair& p : pairs)
    if (p.image && p.validation == validation)
      ++counts[fmt::format("{} x {} px, {}", p.image->width, p.image->height, kind_of(*p.image))];
  std::vector<std::pair<int64_t, std::string>> sorted;
  for (const auto& [kind, count] : counts)
    sorted.push_back({-count, kind});
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> lines;
  for (const auto& [count, kind] : sorted)
    lines.push_back(counted(-count, "image") + " of " + kind);
  return lines;
}

int64_t objects_in(const std::vector<CheckedPair>& pairs, bool validation) {
  int64_t n = 0;
  for (const CheckedPair& p : pairs)
    if (p.labels && p.validation == validation) n += int64_t(p.labels->objects.size());
  return n;
}

bool has_ignored(const std::vector<CheckedPair>& pairs, bool validation) {
  return std::any_of(pairs.begin(), pairs.end(),
                     [&](const CheckedPair& p) { return p.ignored > 0 && p.validation == validation; });
}

void print_part(const char* name, const std::vector<CheckedPair>& pairs, bool validation) {
  const int64_t n =
      std::count_if(pairs.begin(), pairs.end(), [&](const CheckedPair& p) { return p.validation == validation; });
  std::printf("%-12s%s with labels, %s\n", name, counted(n, "image").c_str(),
              counted(objects_in(pairs, validation), "object").c_str());
  const std::vector<std::string> kinds = kinds_of_images(pairs, validation);
  for (size_t i = 0; i < std::min(kinds.size(), max_lines); ++i)
    std::printf("%-12s%s\n", "", kinds[i].c_str());
  if (kinds.size() > max_lines) std::printf("%-12sand %zu more sizes\n", "", kinds.size() - max_lines);
}

void print_sizes(const ObjectSizes& sizes) {
  if (sizes.diameters.empty()) return;
  std::printf(
      "objects     diameter of a disk of the same area, px: smallest %.1f, 5 %% %.1f, 25 %% %.1f, median %.1f, "
      "75 %% %.1f, 95 %% %.1f, largest %.1f; longest side of a box %d\n",
      sizes.diameter(0), sizes.diameter(0.05), sizes.diameter(0.25), sizes.diameter(0.5), sizes.diameter(0.75),
      sizes.diameter(0.95), sizes.diameter(1), sizes.lengths.back());
  const std::vector<SizeClass> classes = histogram_of(sizes);
  int64_t most = 1;
  for (const SizeClass& c : classes)
    most = std::max(most, c.count);
  for (const SizeClass& c : classes)
    std::printf("%12s%5g to %-5g %7lld %s\n", "", c.from, c.to, static_cast<long long>(c.count),
                std::string(size_t((40 * c.count + most - 1) / most), '#').c_str());
}

Json describe(const CheckedPair& p) {
  Json j = {{"image", p.pair.image.string()}, {"labels", labels_path(p.pair).string()}, {"validation", p.validation}};
  if (!p.pair.choice.plane.empty()) j["plane"] = p.pair.choice.plane;
  if (p.image)
    j.update({{"width", p.image->width},
              {"height", p.image->height},
              {"channels", p.image->channels},
              {"type", name_of(p.image->type)},
              {"low", p.image->low},
              {"high", p.image->high},
              {"pixel_size", p.image->pixel_size > 0 ? Json(p.image->pixel_size) : Json(nullptr)},
              {"bits_used", p.image->bits_used > 0 ? Json(p.image->bits_used) : Json(nullptr)},
              {"fingerprint", p.image->fingerprint}});
  if (p.labels) {
    Json areas = Json::array();
    int64_t pieces = 0;
    for (const ObjectFacts& object : p.labels->objects)
      areas.push_back(object.area), pieces += object.pieces;
    j.update({{"objects", p.labels->objects.size()}, {"pieces", pieces}, {"areas", areas}});
    if (p.ignored > 0) j["ignored_pixels"] = p.ignored;
  }
  return j;
}

Json describe(const ObjectSizes& sizes) {
  if (sizes.diameters.empty()) return nullptr;
  Json percentiles = Json::object(), histogram = Json::array();
  for (const int percent : {0, 5, 25, 50, 75, 95, 100})
    percentiles[std::to_string(percent)] = sizes.diameter(percent / 100.0);
  for (const SizeClass& c : histogram_of(sizes))
    histogram.push_back({{"from", c.from}, {"to", c.to}, {"count", c.count}});
  return {{"diameter_percentiles", percentiles}, {"histogram", histogram}, {"longest_side", sizes.lengths.back()}};
}

/// How the method sees the images with the defaults of `train`, or with the options given here.
CheckOptions options_for(const CheckDataArguments& o) {
  const std::unique_ptr<Method> method = make_method(o.method, {});
  leave_out_label(*method, o.ignore_label);
  const TrainingDefaults defaults = method->training_defaults();
  CheckOptions check = check_options(*method, o.crop.value_or(defaults.crop), o.scale);
  check.channels = o.channels;
  check.normalisation = parse_normalisation(o.norm.empty() ? defaults.normalisation : o.norm);
  return check;
}

void run(const CheckDataArguments& o) {
  const CheckOptions options = options_for(o);
  set_threads(o.threads);
  std::vector<Finding> findings;
  std::vector<Pair> train, held;
  for (const std::string& folder : o.folders) {  // a part of each is held out, as in training
    Split split{pairs_in(folder, findings), {}};
    if (o.val.empty()) split = split_for_validation(split.kept, o.val_fraction);
    train.insert(train.end(), split.kept.begin(), split.kept.end());
    held.insert(held.end(), split.held_out.begin(), split.held_out.end());
  }
  if (!o.val.empty()) held = pairs_in(o.val, findings);
  choose(train, o.choice), choose(held, o.choice);
  const std::vector<CheckedPair> pairs = read_checked(train, held, options.normalisation, findings, o.ignore_label);
  if (o.ignore_label && !has_ignored(pairs, false))
    findings.push_back({Severity::warning, "ignored pixels", "",
                        unused_label(*o.ignore_label, has_ignored(pairs, true)),
                        "train uses all pixels; check the value"});
  for (Finding& f : check(pairs, options))
    findings.push_back(std::move(f));

  const ObjectSizes sizes = sizes_of(pairs);
  print_part("training", pairs, false);
  print_part("validation", pairs, true);
  print_sizes(sizes);
  for (const std::string& line : lines_of(findings, max_lines))
    std::printf("%s\n", line.c_str());
  int64_t counts[3] = {};
  for (const Finding& f : findings)
    ++counts[int(f.severity)];
  const int64_t errors = counts[int(Severity::error)], warnings = counts[int(Severity::warning)];
  std::printf("%s, %s, %s\n", counted(errors, "error").c_str(), counted(warnings, "warning").c_str(),
              counted(counts[int(Severity::note)], "note").c_str());
  if (!o.json.empty()) {
    Json images = Json::array(), list = Json::array();
    for (const CheckedPair& p : pairs)
      images.push_back(describe(p));
    for (const Finding& f : findings)
      list.push_back({{"severity", name_of(f.severity)},
                      {"kind", f.kind},
                      {"file", f.file.empty() ? Json(nullptr) : Json(f.file)},
                      {"text", f.text},
                      {"advice", f.advice}});
    std::vector<fs::path> inputs;
    for (const CheckedPair& p : pairs) {
      inputs.push_back(p.pair.image);
      inputs.insert(inputs.end(), p.pair.masks.begin(), p.pair.masks.end());
    }
    keep_inputs(o.json, inputs);
    write_atomically(o.json, to_text({{"errors", errors},
                                      {"warnings", warnings},
                                      {"object_sizes", describe(sizes)},
                                      {"findings", list},
                                      {"images", images}},
                                     2) +
                                 "\n");
    write_run_json_beside(o.json);
  }
  if (errors > 0) refuse("`train` would refuse this training set: ", counted(errors, "error"));
  if (o.strict && warnings > 0) refuse("--strict: ", counted(warnings, "warning"));
}

}  // namespace

void add_check_data(Command& program) {
  Command command = program.subcommand("check-data", "check images and labels before training with them");
  auto o = std::make_shared<CheckDataArguments>();
  command.add("FOLDER", o->folders, "folders of images with masks, or CSV lists, as for train --data").required();
  const Option val = command.add("--val", o->val, "folder of validation images; default: hold out a part of FOLDER");
  command.add("--val-fraction", o->val_fraction, "fraction held out for validation, as train does")
      .within(0., 0.9)
      .shown()
      .excludes(val);
  command.add("--model", o->method, "method to be trained; `basin methods` lists them").one_of(method_names()).shown();
  command.add("--crop", o->crop, "side of a crop in training, px; default: the method's").within(8, 16384);
  command.add("--scale", o->scale, "factor by which train will resize images").within(min_scale, max_scale).shown();
  command.add("--channels", o->channels, "input channels of the network; 0: as many as the image with the most")
      .within(0, 1024);
  command.add("--norm", o->norm, "normalisation: divide, percentile:LOW,HIGH or none; default: the method's");
  command.add("--json", o->json, "write all findings, and the facts of every image, to this file").output();
  command.flag("--strict", o->strict, "exit code 1 also if there are only warnings");
  add_ignore_label_option(command, o->ignore_label, "the losses, as in train");
  add_plane_options(command, o->choice);
  add_threads_option(command, o->threads);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

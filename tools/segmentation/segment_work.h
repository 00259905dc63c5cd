#pragma once
// What the segmentation of images needs and what happened to them; segment.cpp reads the options, segment_batch.h plans
// which images there are.
#include <cstdio>
#include <filesystem>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "data/files/stack_planes.h"
#include "engine/json.h"
#include "models/inference/model_file.h"
#include "models/inference/scale_search.h"
#include "models/inference/segmentation.h"
#include "tools/results/result_files.h"
#include "tools/results/savers.h"

namespace basin::tools {

struct Seconds {
  double read = 0, scale = 0, network = 0, decode = 0, write = 0;
};

/// What happened to the inputs. An image that fails does not stop the others.
struct Outcome {
  std::vector<std::string> failed;  // images and inputs
  size_t done = 0, converted = 0;   // converted: between grey and RGB
  Seconds seconds;
  Json remarks = Json::array(), scales = Json::array(), dropped = Json::array();
  NoteList notes;  // what reading images changed or left out

  void fail(const std::filesystem::path& path, const char* why) {
    std::fprintf(stderr, "basin: %s\n", why);
    failed.push_back(path.string());
  }
  /// Reports something that is not an error but may surprise the user.
  void remark(const std::string& path, const std::string& what) {
    std::fprintf(stderr, "basin: %s: %s\n", path.c_str(), what.c_str());
    remarks.push_back({{"image", path}, {"remark", what}});
  }
  /// Notes the scale that was found for an image.
  void note_scale(const std::string& path, const FoundScale& found) {
    scales.push_back({{"image", path}, {"scale", found.scale}});
    if (found.diameter == 0) remark(path, no_scale_remark);
  }
  void note_dropped(const std::string& path, const Dropped& objects) {
    Json entry{{"image", path}};
    entry.update(to_json(objects));
    dropped.push_back(std::move(entry));
  }
};

/// Calls f. If it throws, the error is reported and `path` is noted as failed.
template <class F>
void attempt(Outcome& outcome, const std::filesystem::path& path, F f) {
  try {
    f();
  } catch (const std::bad_alloc&) {
    outcome.fail(path, (path.string() + ": not enough memory to segment this image").c_str());
  } catch (const std::exception& e) {
    outcome.fail(path, e.what());
  }
}

/// What the segmentation of each image needs.
struct Work {
  Exec exec;
  Model model;
  SegmentationPlan plan;
  std::set<std::string> save;
  bool tiff = false;  // label images are TIFF
  PlaneChoice choice;
  int64_t max_memory = 0;         // bytes that an image may need; 0: half of what is free, shared by the processes
  int ranks = 1;                  // that segment images together
  int processes = 1;              // of them on this machine
  bool resume = false;            // images segmented in blocks continue where an earlier run was interrupted
  std::string model_fingerprint;  // of the model file
  std::string precision;          // as given
  std::optional<double> stitch;   // the intersection over union from which objects of neighbouring planes are one

  /// Whether maps are measured in objects.
  bool measures_maps() const {
    return save.contains("csv") || save.contains("geojson") ||
           (save.contains("scores") && !model.method->gives_scores());
  }
  /// Whether the foreground probability, or the vector field, is saved or measured in objects.
  bool needs_foreground() const {
    return !model.method->foreground_logit().empty() && (measures_maps() || save.contains("probability"));
  }
  bool needs_field() const { return !field_map(*model.method).empty() && (measures_maps() || save.contains("flow")); }
  /// Adds what the results need from the maps of an image.
  void keep_maps(const Maps& maps, Results& results) const {
    if (needs_foreground()) results.foreground = foreground_probability(exec, *model.method, maps);
    if (needs_field()) results.field = field_of(exec, *model.method, maps);
  }
  /// Bytes per pixel of what keep_maps() adds.
  int64_t kept_map_bytes() const {
    return int64_t(sizeof(float)) * ((needs_foreground() ? 1 : 0) + (needs_field() ? 2 : 0));
  }
};

/// Searches for the scale at which the network sees an image; for plans with SegmentationPlan::finds_scale.
double find_scale_of(const Work&, const std::string& name, const Source&, Outcome&);

/// ", scale 0.5": the scale of an image, unless the user or the model gave it as a number.
std::string describe_scale(const SegmentationPlan&, double scale);

/// Segments each plane of a stack, writes its files and returns what was found, in words.
std::string segment_stack(const Work&, const std::filesystem::path&, const StackPlanes&, ImageFiles&, Outcome&);

}  // namespace basin::tools

#include "tools/results/savers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/objects/geojson.h"
#include "data/objects/objects_csv.h"
#include "data/objects/rois.h"
#include "data/objects/seg_npy.h"
#include "data/objects/write_stack.h"
#include "data/report/flow_picture.h"
#include "data/report/overlay.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"
#include "models/inference/segmenter.h"
#include "tools/cli/counted.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

void write_probability(const fs::path& path, const Results& r) {
  write_png(path, probability_picture(r.labels->height, r.labels->width, r.foreground));
}

/// The labels as a stack of one plane, with the pixel size of the image.
LabelStack stack_of(const Results& r) {
  StackPlanes planes;
  if (r.image) planes.stack.pixel = r.image->stack.pixel, planes.stack.spacing = r.image->stack.spacing;
  LabelStack stack(planes);
  std::vector<int32_t> numbers(size_t(r.labels->count));
  std::iota(numbers.begin(), numbers.end(), 1);
  stack.add(*r.labels, numbers);
  return stack;
}

void write_masks(const fs::path& path, const Results& r) {
  if (path.extension() == ".tif")
    stack_of(r).write(path);
  else
    write_labels(path, *r.labels);
}

}  // namespace

const char* labels_suffix(const Results& r) { return r.tiff ? "_masks.tif" : masks_suffix(*r.labels); }

Image probability_picture(int height, int width, const std::vector<float>& probability) {
  Image picture{height, width, 1, PixelType::u8, std::vector<std::byte>(probability.size())};
  std::transform(probability.begin(), probability.end(), picture.as<uint8_t>(),
                 [](float p) { return uint8_t(std::lround(255 * std::clamp(p, 0.f, 1.f))); });
  return picture;
}

const Outlines& Results::outlines() const {
  if (!outlines_) outlines_ = outlines_of(*labels);
  return *outlines_;
}

const Measurements& Results::measurements() const {
  if (!measurements_) measurements_ = measure(*labels, {image, foreground, field});
  return *measurements_;
}

const ObjectTable& Results::table() const {
  if (!table_) table_ = table_of(measurements(), scores, image ? image->stack.pixel_size().value_or(0) : 0);
  return *table_;
}

std::vector<float> Results::object_scores() const {
  if (scores) return *scores;
  return scores_of(measurements());
}

const std::vector<Saver>& savers() {
  using Needs = Saver::Needs;
  using R = const Results&;
  using P = const fs::path&;
  static const std::vector<Saver> all{
      {"labels", Needs::labels, {"_masks.png", "_masks.tif"}, labels_suffix, write_masks},
      {"scores",
       Needs::scores,
       {scores_suffix},
       [](R) { return scores_suffix; },
       [](P path, R r) { write_scores(path, r.object_scores()); }},
      {"instances",
       Needs::masks,
       {instances_suffix},
       [](R) { return instances_suffix; },
       [](P path, R r) {
         write_instances(path, r.planes ? *r.planes : masks_of(*r.labels), r.image ? r.image->stack : Stack());
       }},
      {"zarr",
       Needs::labels,
       {zarr_masks_suffix},
       [](R) { return zarr_masks_suffix; },
       [](P path, R r) { stack_of(r).write_zarr(path); }},
      {"ome",
       Needs::labels,
       {ome_masks_suffix},
       [](R) { return ome_masks_suffix; },
       [](P path, R r) { stack_of(r).write(path, TiffForm::ome); }},
      {"overlay",
       Needs::image,
       {"_overlay.png", "_overlay.tif"},
       [](R) { return "_overlay.png"; },
       [](P path, R r) { write_png(path, overlay(*r.image, *r.labels)); }},
      {"outlines",
       Needs::image,
       {"_outlines.png", "_outlines.tif"},
       [](R) { return "_outlines.png"; },
       [](P path, R r) { write_png(path, outlined(*r.image, *r.labels)); }},
      {"rois",
       Needs::labels,
       {"_rois.zip"},
       [](R) { return "_rois.zip"; },
       [](P path, R r) { write_rois(path, r.outlines()); }},
      {"geojson",
       Needs::labels,
       {".geojson"},
       [](R) { return ".geojson"; },
       [](P path, R r) { write_geojson(path, r.outlines(), r.table()); }},
      {"csv",
       Needs::labels,
       {"_objects.csv"},
       [](R) { return "_objects.csv"; },
       [](P path, R r) { write_objects_csv(path, r.table()); }},
      {"npy",
       Needs::image,
       {"_seg.npy"},
       [](R) { return "_seg.npy"; },
       [](P path, R r) { write_seg_npy(path, *r.labels, fs::absolute(r.path)); }},
      {"probability",
       Needs::foreground,
       {"_probability.png", "_probability.tif"},
       [](R) { return "_probability.png"; },
       write_probability},
      {"flow",
       Needs::field,
       {"_flow.png", "_flow.tif"},
       [](R) { return "_flow.png"; },
       [](P path, R r) { write_png(path, flow_picture(r.labels->height, r.labels->width, r.field)); }},
  };
  return all;
}

bool can_save(const Saver& saver, const Method& method) {
  using Needs = Saver::Needs;
  const bool has_foreground = !method.foreground_logit().empty();
  if (saver.needs == Needs::foreground) return has_foreground;
  if (saver.needs == Needs::scores) return has_foreground || method.gives_scores();
  if (saver.needs == Needs::masks) return method.may_share_pixels();
  if (saver.needs == Needs::field) return !field_map(method).empty();
  return true;
}

void save_results(const std::set<std::string>& kinds, const Results& results, ImageFiles& files) {
  for (const Saver& saver : savers()) {
    if (!kinds.contains(saver.kind)) continue;
    files.write(saver.suffix(results), [&](const fs::path& file) { saver.write(file, results); });
    if (saver.kind != std::string("labels")) files.remove_others(saver.endings, saver.suffix(results));
  }
}

std::string describe_objects(int64_t objects, const ObjectFilter& filter, const Dropped& dropped) {
  std::string why;
  const auto add = [&](int64_t n, const std::string& reason) {
    if (n > 0) why += fmt::format("{}{} {}", why.empty() ? "" : ", ", n, reason);
  };
  add(dropped.too_small, fmt::format("smaller than {} px", filter.min_size));
  add(dropped.too_large, fmt::format("larger than {} px", filter.max_size));
  add(dropped.at_edge, "at the edge");
  const std::string found = counted(objects, "object");
  return why.empty() ? found : fmt::format("{} (dropped {})", found, why);
}

Json to_json(const Dropped& dropped) {
  return {{"too_small", dropped.too_small}, {"too_large", dropped.too_large}, {"at_edge", dropped.at_edge}};
}

}  // namespace basin::tools

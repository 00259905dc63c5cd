#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <numeric>

#include "data/objects/geojson.h"
#include "data/objects/objects_csv.h"
#include "data/objects/rois.h"
#include "data/objects/stitch.h"
#include "data/objects/write_stack.h"
#include "data/report/flow_picture.h"
#include "data/report/overlay.h"
#include "engine/clock.h"
#include "engine/files.h"
#include "engine/text.h"
#include "tools/cli/counted.h"
#include "tools/cli/machine.h"
#include "tools/cli/progress.h"
#include "tools/results/object_tables.h"
#include "tools/segmentation/segment_large.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// What --save can name for a stack.
const std::vector<std::string> stack_kinds{"labels", "scores",  "zarr", "ome",   "overlay",     "outlines",
                                           "rois",   "geojson", "csv",  "table", "probability", "flow"};

/// Those of them that a method produces.
std::vector<std::string> kinds_for(const Method& method) {
  std::vector<std::string> kinds = stack_kinds;
  for (const Saver& saver : savers())
    if (!can_save(saver, method)) std::erase(kinds, saver.kind);
  return kinds;
}

/// The results of the planes so far.
class StackResults {
 public:
  StackResults(const Work& work, const StackPlanes& planes, const fs::path& path, const ImageFiles& files)
      : work_(work), planes_(planes), path_(path), labels_(planes) {
    places_.frames = planes.frames, places_.slices = planes.slices, places_.has_channels = planes.has_channels;
    for (const char* kind : {"overlay", "outlines", "probability", "flow"})
      if (work.save.contains(kind)) pictures_.try_emplace(kind, files.path(suffix_of(kind)), planes);
    if (work.stitch) stitcher_.emplace(*work.stitch);
  }

  void add(int64_t plane, const Results& results) {
    const Labels& labels = *results.labels;
    if (plane == 0) height_ = labels.height, width_ = labels.width;
    if (labels.height != height_ || labels.width != width_)
      refuse(path_.string(), ": its planes differ in size; save each as a separate file");
    sections_ += labels.count;
    const std::vector<int32_t> numbers = numbers_of(plane, labels);
    labels_.add(labels, numbers);
    for (const int32_t number : numbers)
      places_.objects.push_back({number, plane, planes_.frame_of(plane), planes_.slice_of(plane)});
    if (saves("overlay")) pictures_.at("overlay").add(overlay(*results.image, labels));
    if (saves("outlines")) pictures_.at("outlines").add(outlined(*results.image, labels));
    if (saves("probability"))
      pictures_.at("probability").add(probability_picture(labels.height, labels.width, results.foreground));
    if (saves("flow")) pictures_.at("flow").add(flow_picture(labels.height, labels.width, results.field));
    if (saves("rois") || saves("geojson"))
      outlines_.insert(outlines_.end(), results.outlines().begin(), results.outlines().end());
    if (saves("csv") || saves("geojson")) add_rows(results.table(), numbers, plane);
    if (!saves("scores")) return;
    const std::vector<float> scores = results.object_scores();
    scores_.insert(scores_.end(), scores.begin(), scores.end());
  }

  /// `notes`: says which older files are removed.
  void write(ImageFiles& files, NoteList& notes) {
    for (auto& picture : pictures_)
      files.write(suffix_of(picture.first), [&](const fs::path&) { picture.second.commit(); });
    if (saves("rois")) files.write("_rois.zip", [&](const fs::path& p) { write_rois(p, outlines_, places_); });
    if (saves("geojson"))
      files.write(".geojson", [&](const fs::path& p) { write_geojson(p, outlines_, table_, places_); });
    if (saves("csv")) files.write(table_suffix, [&](const fs::path& p) { write_objects_csv(p, table_); });
    if (saves("scores")) files.write(scores_suffix, [&](const fs::path& p) { write_atomically(p, scores_text()); });
    if (saves("zarr")) files.write(zarr_masks_suffix, [&](const fs::path& p) { labels_.write_zarr(p); });
    if (saves("ome")) files.write(ome_masks_suffix, [&](const fs::path& p) { labels_.write(p, TiffForm::ome); });
    if (saves("labels")) files.write("_masks.tif", [&](const fs::path& p) { labels_.write(p); });
    files.keep();
    files.remove_other_objects(object_files(work_.save, "_masks.tif"), notes);
    for (const Saver& saver : savers())
      if (pictures_.contains(saver.kind)) files.remove_others(saver.endings, suffix_of(saver.kind));
  }

  int64_t sections() const { return sections_; }  // objects, counted in every plane
  int64_t objects() const { return stitcher_ ? objects_ + stitcher_->highest() : sections_; }

 private:
  static std::string suffix_of(const std::string& kind) { return "_" + kind + ".tif"; }
  bool saves(const char* kind) const { return work_.save.contains(kind); }

  std::vector<int32_t> numbers_of(int64_t plane, const Labels& labels) {
    if (stitcher_) {
      if (planes_.slices > 1 && planes_.slice_of(plane) == 0) {  // another volume
        objects_ += stitcher_->highest();
        stitcher_.emplace(*work_.stitch);
      }
      return stitcher_->add(labels);
    }
    std::vector<int32_t> numbers(size_t(labels.count));
    std::iota(numbers.begin(), numbers.end(), 1);
    return numbers;
  }

  /// Adds the rows of a plane's table, with columns for the plane and its indices behind the label.
  void add_rows(const ObjectTable& plane_table, const std::vector<int32_t>& numbers, int64_t plane) {
    std::vector<std::string> names{"label", "plane"};
    std::vector<double> places{double(plane)};
    if (planes_.frames > 1) names.push_back("t"), places.push_back(double(planes_.frame_of(plane)));
    if (planes_.slices > 1) names.push_back("z"), places.push_back(double(planes_.slice_of(plane)));
    names.insert(names.end(), plane_table.names.begin() + 1, plane_table.names.end());
    BASIN_CHECK(table_.names.empty() || table_.names == names, "planes with different columns");
    table_.names = names;
    for (size_t k = 0; k < numbers.size(); ++k) {
      const std::span<const double> row = plane_table.row(k);
      table_.numbers.push_back(numbers[k]);
      table_.numbers.insert(table_.numbers.end(), places.begin(), places.end());
      table_.numbers.insert(table_.numbers.end(), row.begin() + 1, row.end());
    }
  }

  std::string scores_text() const {
    std::string text = "plane,label,score\n";
    for (size_t k = 0; k < scores_.size(); ++k)
      text += fmt::format("{},{},{}\n", places_.objects[k].plane, places_.objects[k].label, scores_[k]);
    return text;
  }

  const Work& work_;
  const StackPlanes& planes_;
  fs::path path_;
  LabelStack labels_;
  ObjectPlaces places_;
  Outlines outlines_;
  ObjectTable table_;
  std::vector<float> scores_;
  std::map<std::string, PictureStack> pictures_;
  std::optional<Stitcher> stitcher_;
  int height_ = 0, width_ = 0;
  int64_t sections_ = 0;
  int64_t objects_ = 0;  // in the volumes before this one
};

/// Remarks on the planes of a stack: those that differ in numbers alone are one remark.
class PlaneRemarks {
 public:
  explicit PlaneRemarks(const StackPlanes& planes) : planes_(planes) {}

  void add(int64_t plane, const std::vector<std::string>& remarks) {
    for (const std::string& remark : remarks) {
      std::string kind;
      std::copy_if(remark.begin(), remark.end(), std::back_inserter(kind),
                   [](unsigned char c) { return !std::isdigit(c) && c != '.'; });
      ++found_.try_emplace(kind, Found{remark, plane, 0}).first->second.planes;
    }
  }
  void report(const std::string& path, Outcome& outcome) const {
    for (const auto& [kind, found] : found_)
      outcome.remark(path, fmt::format("in {} of {}, first in {}: {}", found.planes, counted(planes_.count(), "plane"),
                                       planes_.name_of(found.first), found.text));
  }

 private:
  struct Found {
    std::string text;
    int64_t first, planes;
  };
  const StackPlanes& planes_;
  std::map<std::string, Found> found_;
};

}  // namespace

std::string segment_stack(const Work& work, const fs::path& path, const StackPlanes& planes, ImageFiles& files,
                          Outcome& outcome) {
  for (const std::string& kind : work.save)
    if (std::find(stack_kinds.begin(), stack_kinds.end(), kind) == stack_kinds.end())
      refuse(path.string(), ": --save ", kind, " is for single images, and this is a stack of ",
             counted(planes.count(), "plane"), "; choose one with --plane, or save ",
             joined(kinds_for(*work.model.method)));
  const Model& model = work.model;
  const int channels = model.method->sample_spec().channels;
  Seconds& seconds = outcome.seconds;
  std::fprintf(stderr, "basin: %s: read as %s; its %s are segmented one by one\n", path.c_str(),
               (to_text(planes.stack) + describe_choice(work.choice)).c_str(),
               counted(planes.count(), "plane").c_str());
  double scale = work.plan.options.scale;
  if (work.plan.finds_scale) {  // one for all planes, by the one in the middle
    const PlaneChoice middle = choice_of_plane(planes, planes.count() / 2, work.choice);
    const Source source(read_image(path, middle), channels, work.plan.norm, path.string());
    scale = find_scale_of(work, path.string(), source, outcome);
  }
  StackResults all(work, planes, path, files);
  Progress progress(path.string(), "planes", 0, Progress::Short::silent);
  PlaneRemarks remarks(planes);
  Dropped dropped;
  double mark = clock_seconds();
  const auto lap = [&] { return clock_seconds() - std::exchange(mark, clock_seconds()); };
  read_image_planes(path, planes, work.choice, [&](int64_t plane, Image image) {
    const std::string name = path.string() + " (" + planes.name_of(plane) + ")";
    const Source source(std::move(image), channels, work.plan.norm, name);
    if (plane == 0) {
      check_memory(work, path.string(), planes, source.image(), scale, memory_available());
      std::vector<std::string> notes = source.image().notes;
      std::erase_if(notes, [](const std::string& note) { return note.starts_with("read as "); });  // reported above
      outcome.notes.add(path.string(), notes);
      outcome.converted += source.image().channels != channels;
    }
    seconds.read += lap();
    Results results;
    const auto see = [&](const Maps& maps) { work.keep_maps(maps, results); };
    FoundObjects found = with_name(
        name, [&] { return find_objects(work.exec, *model.method, *model.predictor, source, work.plan, scale, see); });
    seconds.network += found.network_seconds, seconds.decode += found.decode_seconds;
    const Labels& labels = found.instances.labels;
    const Dropped& of_plane = found.dropped;
    remarks.add(plane, found.remarks);
    lap();
    dropped.at_edge += of_plane.at_edge, dropped.too_small += of_plane.too_small;
    dropped.too_large += of_plane.too_large;
    results.path = path, results.image = &source.image(), results.labels = &labels;
    if (model.method->gives_scores()) results.scores = std::move(found.instances.scores);
    all.add(plane, results);
    seconds.write += lap();
    progress(double(plane + 1) / double(planes.count()));
  });
  all.write(files, outcome.notes);
  seconds.write += lap();
  remarks.report(path.string(), outcome);
  if (work.plan.filter.does_anything()) outcome.note_dropped(path.string(), dropped);
  std::string text =
      counted(planes.count(), "plane") + ", " + describe_objects(all.objects(), work.plan.filter, dropped);
  if (work.stitch) text += fmt::format(", stitched from {}", all.sections());
  return text + describe_scale(work.plan, scale);
}

}  // namespace basin::tools

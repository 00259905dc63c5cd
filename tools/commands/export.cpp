#include <algorithm>
#include <cstdio>
#include <map>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "engine/files.h"
#include "engine/json.h"
#include "engine/text.h"
#include "tools/cli/command.h"
#include "tools/cli/label_inputs.h"
#include "tools/cli/run_json.h"
#include "tools/cli/segmentation_options.h"
#include "tools/results/result_files.h"
#include "tools/results/savers.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

struct ExportArguments {
  std::vector<std::string> inputs, save{"csv", "rois", "geojson"};
  std::string image, out;
  PlaneChoice choice;
  ObjectFilter filter;
  bool tiff = false;
  int threads = 0;
};

/// The image of each stem: those in the folder --image, or the file --image for the only labels.
std::map<std::string, fs::path> find_images_of(const ExportArguments& o, const std::map<std::string, Pair>& labels) {
  std::map<std::string, fs::path> images;
  if (o.image.empty()) return images;
  if (!is_folder(o.image)) {
    if (labels.size() > 1)
      refuse("--image ", o.image, ": is one image for ", labels.size(),
             " label images; give the folder of their images");
    return {{labels.begin()->first, o.image}};
  }
  for (const ImageFile& image : find_images(o.image))
    images.emplace(image.stem, image.path);
  for (const auto& [stem, pair] : labels)
    if (!images.contains(stem)) refuse(o.image, ": has no image for the labels ", labels_path(pair).string());
  return images;
}

void check_kinds(const ExportArguments& o) {
  std::vector<std::string> known;
  for (const Saver& saver : savers())
    if (saver.needs == Saver::Needs::labels || (saver.needs == Saver::Needs::image && !o.image.empty()))
      known.push_back(saver.kind);
  for (const std::string& kind : o.save)
    if (std::find(known.begin(), known.end(), kind) == known.end())
      refuse("--save ", kind, ": ", o.image.empty() ? "without --image, " : "", "labels can be saved as ",
             joined(known));
}

void run(const ExportArguments& o) {
  set_threads(o.threads);
  check(o.filter);
  check_kinds(o);
  const std::map<std::string, Pair> inputs = labels_of_inputs(o.inputs, o.choice);
  const std::map<std::string, fs::path> images = find_images_of(o, inputs);
  const std::set<std::string> save(o.save.begin(), o.save.end());
  const bool filled_before = made_by("export", fs::path(o.out) / "run.json");
  for (const auto& [stem, pair] : inputs) {
    if (save.contains("labels"))
      for (const char* suffix : masks_suffixes)
        keep_inputs(fs::path(o.out) / (stem + suffix), pair.masks);
    if (save.contains("zarr")) keep_inputs(fs::path(o.out) / (stem + zarr_masks_suffix), pair.masks);
    if (save.contains("ome")) keep_inputs(fs::path(o.out) / (stem + ome_masks_suffix), pair.masks);
    keep_labels(stem, o.out, filled_before, save, save.contains("labels"));
  }
  make_folder(o.out);
  NoteList notes;
  Json dropped = Json::array();
  for (const auto& [stem, pair] : inputs) {
    Results results;
    Image image;
    if (const auto found = images.find(stem); found != images.end()) {
      results.path = found->second;
      image = read_image(found->second, o.choice);
      results.image = &image;
      notes.add(found->second.string(), image.notes);
    } else {
      results.path = labels_path(pair);
    }
    Labels labels = read_pair_labels(pair);
    notes.add(labels_path(pair).string(), labels.notes);
    if (results.image && (labels.height != image.height || labels.width != image.width))
      refuse(labels_path(pair).string(), ": is ", labels.width, " x ", labels.height, " pixels, but its image ",
             results.path.string(), " is ", image.width, " x ", image.height);
    std::vector<int32_t> kept;
    const Dropped gone = drop_objects(o.filter, labels, kept);
    results.labels = &labels;
    results.tiff = o.tiff;
    ImageFiles files(fs::path(o.out) / stem);
    save_results(save, results, files);
    files.keep();
    if (save.contains("labels") || filled_before)
      files.remove_other_objects(object_files(save, labels_suffix(results)), notes, pair.masks);
    std::printf("%s: %s\n", labels_path(pair).string().c_str(), describe_objects(labels.count, o.filter, gone).c_str());
    Json entry{{"labels", labels_path(pair).string()}};
    entry.update(to_json(gone));
    if (o.filter.does_anything()) dropped.push_back(std::move(entry));
  }
  report_notes(notes.lines());
  write_run_json(fs::path(o.out) / "run.json", {{"images", inputs.size()}, {"dropped", dropped}});
}

}  // namespace

void add_export(Command& program) {
  Command command =
      program.subcommand("export", "write the objects of label images as files of ImageJ, QuPath, Cellpose, or as CSV");
  auto o = std::make_shared<ExportArguments>();
  command.add("LABELS", o->inputs, "label images, or folders of label images").required();
  command
      .add("--save", o->save,
           "what to write: rois (ImageJ), geojson (QuPath), csv (measurements), labels, zarr and ome (labels as "
           "OME-Zarr and OME-TIFF), and "
           "with --image npy (Cellpose), overlay and outlines")
      .list()
      .shown();
  command.add("--image", o->image,
              "the image of the labels, or a folder of images with the labels' stems: for pixel values, pixel size and "
              "pictures");
  command.flag("--tiff", o->tiff, "write label images as TIFF, with the pixel size of --image, instead of PNG");
  command.add("--out", o->out, "output folder").required();
  add_filter_options(command, o->filter);
  add_plane_options(command, o->choice);
  add_threads_option(command, o->threads);
  command.runs([o] { run(*o); });
}

}  // namespace basin::tools

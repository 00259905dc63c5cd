#include "tools/results/result_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/arrays/zarr.h"
#include "engine/files.h"
#include "kernels/runtime/platform.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

/// The ends of the names of all files that describe objects.
std::vector<std::string> object_suffixes() {
  std::vector<std::string> suffixes(std::begin(masks_suffixes), std::end(masks_suffixes));
  suffixes.insert(suffixes.end(), {instances_suffix, scores_suffix, ome_masks_suffix, zarr_masks_suffix});
  return suffixes;
}

constexpr const char* image_suffixes[] = {".png",     ".tif",      ".tiff",    ".jpg",      ".jpeg",
                                          ".bmp",     ".ome.tif",  ".zarr",    ".ome.zarr", "_img.png",
                                          "_img.tif", "_img.tiff", "_img.jpg", "_img.jpeg", "_img.bmp"};

}  // namespace

void write_scores(const fs::path& path, const std::vector<float>& scores) {
  std::string text = "label,score\n";
  for (size_t k = 0; k < scores.size(); ++k)
    text += fmt::format("{},{}\n", k + 1, scores[k]);
  write_atomically(path, text);
}

void keep_labels(const std::string& stem, const fs::path& out, bool filled_before, const std::set<std::string>& kinds,
                 bool replaces_all) {
  const auto own = [&] {
    if (!filled_before) return false;
    const auto beside = [&](const char* extension) { return fs::exists(out / (stem + extension)); };
    return std::none_of(std::begin(image_suffixes), std::end(image_suffixes), beside);
  };
  const auto keep = [&](const std::string& suffix) {
    if (const fs::path labels = out / (stem + suffix); fs::exists(labels) && !own())
      refuse(labels.string(), ": already exists and may contain true labels; give another --out");
  };
  const fs::path folder = (out / stem).parent_path();  // of a data set, with the images beside it
  const bool writes_labels = kinds.contains("labels") || kinds.contains("zarr") || kinds.contains("ome");
  if (writes_labels && folder.filename() == "masks" && fs::is_directory(folder.parent_path() / "images")) {
    for (const char* suffix : image_suffixes)
      if (const fs::path labels = out / (stem + suffix); fs::exists(labels))
        refuse(labels.string(),
               ": this label image belongs to a data set, and a second one for its image would be written beside it; "
               "give another --out");
  }
  if (replaces_all && (writes_labels || kinds.contains("instances"))) {
    for (const std::string& suffix : object_suffixes())
      keep(suffix);
  } else if (kinds.contains("labels") || kinds.contains("instances")) {
    std::for_each(std::begin(masks_suffixes), std::end(masks_suffixes), keep);
    keep(instances_suffix);
  }
  if (kinds.contains("zarr")) keep(zarr_masks_suffix);
  if (kinds.contains("ome")) keep(ome_masks_suffix);
  if (kinds.contains("npy")) keep("_seg.npy");
}

std::set<std::string> object_files(const std::set<std::string>& kinds, const std::string& labels) {
  std::set<std::string> files;
  if (kinds.contains("labels")) files.insert(labels);
  if (kinds.contains("instances")) files.insert(instances_suffix);
  if (kinds.contains("scores")) files.insert(scores_suffix);
  if (kinds.contains("zarr")) files.insert(zarr_masks_suffix);
  if (kinds.contains("ome")) files.insert(ome_masks_suffix);
  return files;
}

void refuse_failed(const std::vector<std::string>& failed, size_t all) {
  constexpr size_t max_names = 20;
  std::string names;
  for (size_t i = 0; i < std::min(failed.size(), max_names) && all > 1; ++i)
    names += (i == 0 ? ": " : ", ") + failed[i];
  if (failed.size() > max_names) names += fmt::format(" and {} more, which run.json lists", failed.size() - max_names);
  refuse(failed.size(), " of ", all, " inputs could not be segmented", names);
}

ImageFiles::~ImageFiles() {
  std::error_code none;
  for (const fs::path& file : written_)
    fs::remove_all(file, none);
}

void ImageFiles::remove_others(const std::vector<std::string>& suffixes, const std::string& kept) {
  std::error_code none;
  for (const std::string& suffix : suffixes)
    if (suffix != kept && fs::is_regular_file(path(suffix), none)) fs::remove(path(suffix), none);
}

void ImageFiles::remove_unwritten(const std::vector<std::string>& suffixes) {
  std::error_code none;
  for (const std::string& suffix : suffixes) {
    const bool is_new = std::find(written_.begin(), written_.end(), path(suffix)) != written_.end();
    if (!is_new && fs::is_regular_file(path(suffix), none)) fs::remove(path(suffix), none);
  }
}

void ImageFiles::remove_other_objects(const std::set<std::string>& kept, NoteList& notes,
                                      const std::vector<fs::path>& inputs) {
  if (kept.empty()) return;
  std::error_code none;
  for (const std::string& suffix : object_suffixes()) {
    const fs::path file = path(suffix);
    const auto is_file = [&](const fs::path& input) { return fs::equivalent(input, file, none); };
    if (kept.contains(suffix) || std::any_of(inputs.begin(), inputs.end(), is_file)) continue;
    if (!fs::is_regular_file(file, none) && !is_zarr(file)) continue;
    if (fs::remove_all(file, none) > 0) notes.add(file.string(), {"removed, as results of an earlier run"});
  }
}

}  // namespace basin::tools

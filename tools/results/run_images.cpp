#include "tools/results/run_images.h"

#include <algorithm>
#include <map>
#include <set>

#include "data/arrays/zarr.h"
#include "data/dataset/dataset.h"
#include "engine/json.h"
#include "kernels/runtime/platform.h"
#include "tools/cli/run_json.h"
#include "tools/results/result_files.h"
#include "tools/results/run_record.h"
#include "tools/results/shards.h"

namespace basin::tools {
namespace fs = std::filesystem;
namespace {

Json read_run(const fs::path& out) {
  if (!fs::is_directory(out))
    refuse(out.string(), ": is not a folder; give one that `basin segment --out` has written");
  const fs::path path = out / "run.json";
  if (!fs::exists(path)) {
    if (!find_shards(out).empty())
      refuse(out.string(), ": contains shards that are not joined; run `basin merge ", out.string(), "` first");
    refuse(out.string(), ": has no run.json; give a folder that `basin segment --out` has written");
  }
  Json run = read_record(path);
  if (!made_by("segment", path)) refuse(path.string(), ": was not written by `basin segment`");
  return run;
}

/// The ends of the names of the label images that a run has written, in the most common of its formats; empty if it has
/// written none.
std::vector<std::string> label_suffixes_of(const RunResults& run) {
  if (run.saved("labels")) return {std::begin(masks_suffixes), std::end(masks_suffixes)};
  if (run.saved("ome")) return {ome_masks_suffix};
  if (run.saved("zarr")) return {zarr_masks_suffix};
  return {};
}

/// The label images with these suffixes in a folder and below it by their stems, without those of other runs.
std::map<std::string, fs::path> find_label_images(const fs::path& out, const std::vector<std::string>& suffixes) {
  std::map<std::string, fs::path> found;
  for (fs::recursive_directory_iterator it(out), end; it != end; ++it) {
    const std::string name = it->path().filename().string();
    if (is_zarr(it->path())) it.disable_recursion_pending();
    if (it->is_directory() && (name.starts_with('.') || fs::exists(it->path() / "run.json"))) {
      it.disable_recursion_pending();
      continue;
    }
    for (const std::string& suffix : suffixes)
      if (name.ends_with(suffix) && (it->is_regular_file() || is_zarr(it->path()))) {
        const std::string path = it->path().lexically_relative(out).generic_string();
        found.emplace(path.substr(0, path.size() - suffix.size()), it->path());
      }
  }
  return found;
}

/// A path of a run, which may be relative to the folder where it ran.
std::string place_of(const fs::path& folder, const std::string& path) {
  return (folder / path).lexically_normal().string();
}

RunResults results_of(const SegmentRecord& run, const fs::path& out, const std::vector<std::string>& moved) {
  const fs::path folder = run.folder;
  RunResults results;
  results.model = run.model, results.save = run.save, results.choice = run.choice, results.finished = run.finished;
  const std::vector<std::string> suffixes = label_suffixes_of(results);
  if (suffixes.empty()) refuse(out.string(), ": this run has not saved label images; segment with --save labels,...");

  const std::vector<ImageFile> images = recorded_images(run, moved, results.notes);
  std::map<std::string, fs::path> labels = find_label_images(out, suffixes);
  std::map<std::string, std::vector<std::string>> remarks;  // by the places of the images
  for (const auto& [image, texts] : run.remarks)
    remarks[place_of(folder, image)] = texts;
  std::set<std::string> failed;
  for (const std::string& path : run.failed)
    failed.insert(place_of(folder, path));
  for (const ImageFile& image : images) {
    const std::string place = image.path.lexically_normal().string();
    const auto found = labels.find(image.stem);
    if (failed.erase(place))
      results.images.push_back({image.stem, image.path, {}, {"this image could not be segmented"}});
    else if (found != labels.end())
      results.images.push_back({image.stem, image.path, found->second, remarks[place]});
    else
      continue;
    if (found != labels.end()) labels.erase(found);
  }
  for (const auto& [stem, path] : labels) {
    RunImage image{stem, {}, path, {}};
    for (const auto& [place, texts] : remarks)
      if (stem_of(place) == fs::path(stem).filename().string()) image.remarks = texts;
    results.images.push_back(std::move(image));
  }
  for (const std::string& place : failed)
    results.images.push_back({stem_of(place), place, {}, {"this image could not be segmented"}});
  if (results.images.empty()) refuse(out.string(), ": contains no label images");
  return results;
}

}  // namespace

std::vector<ImageFile> recorded_images(const SegmentRecord& run, const std::vector<std::string>& moved,
                                       std::vector<std::string>& notes) {
  std::vector<InputImages> inputs;
  std::vector<std::string> left_out;
  for (const std::string& given : moved.empty() ? run.inputs : moved) {
    const std::string input =
        moved.empty() ? place_of(run.folder, given) : fs::absolute(given).lexically_normal().string();
    try {
      inputs.push_back({input, run.recursive ? find_images_below(input, &left_out) : find_images(input, &left_out)});
    } catch (const std::exception& error) {  // also of the file system, of a name that is too long
      if (!moved.empty()) throw;
      notes.push_back(error.what());
    }
  }
  return merge_images(inputs, left_out);
}

bool RunResults::saved(const std::string& kind) const {
  return std::find(save.begin(), save.end(), kind) != save.end();
}

RunResults find_run_images(const fs::path& out, const std::vector<std::string>& images) {
  const Json run = read_run(out);
  return results_of(segment_record_of(run, (out / "run.json").string()), out, images);
}

}  // namespace basin::tools

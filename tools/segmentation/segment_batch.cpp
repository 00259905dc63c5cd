#include "tools/segmentation/segment_batch.h"

#include <sys/stat.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <unordered_set>

#include "data/arrays/zarr.h"
#include "engine/fingerprint.h"
#include "tools/cli/command.h"
#include "tools/cli/run_json.h"
#include "tools/results/run_images.h"
#include "tools/results/run_record.h"

namespace basin::tools {
namespace fs = std::filesystem;

const std::vector<const char*> result_settings{
    "model_fingerprint", "config",     "norm",     "tiling",    "tile",   "overlap", "scale",
    "diameter",          "tta",        "axes",     "plane",     "series", "channel", "min_size",
    "exclude_edges",     "fill_holes", "max_size", "precision", "stitch"};

std::string name_of_setting(const std::string& setting) { return setting == "model_fingerprint" ? "model" : setting; }

std::vector<std::string> Batch::stems_without(const std::vector<std::string>& failed) const {
  const std::unordered_set<std::string> left_out(failed.begin(), failed.end());
  std::vector<std::string> stems;
  for (const ImageFile& image : images)
    if (!left_out.contains(image.path.string())) stems.push_back(image.stem);
  return stems;
}

Batch plan_batch(const std::vector<std::string>& inputs, bool recursive, const Shard& shard, Outcome& outcome) {
  std::vector<InputImages> found;
  std::vector<std::string> left_out;
  for (const std::string& input : inputs)
    attempt(outcome, input, [&] {
      found.push_back({input, recursive ? find_images_below(input, &left_out) : find_images(input, &left_out)});
    });
  const std::vector<ImageFile> all = merge_images(found, left_out);
  report_notes(left_out);
  Batch batch{shard, {}, all.size(), {}, outcome.failed};
  Fingerprint fingerprint;
  const auto add = [&](const std::string& text) {
    fingerprint.add(text.size());
    fingerprint.add(std::as_bytes(std::span(text)));
  };
  for (size_t k = 0; k < all.size(); ++k) {
    add(all[k].stem), add(all[k].path.string());
    if (shard.takes(k)) batch.images.push_back(all[k]);
  }
  batch.fingerprint = fingerprint.digits();
  return batch;
}

Json shard_record(const Batch& batch) {
  Json images = Json::array();
  for (const ImageFile& image : batch.images)
    images.push_back({image.stem, image.path.string()});
  return {{"images_of_all_shards", batch.images_of_all_shards},
          {"fingerprint", batch.fingerprint},
          {"failed_inputs", batch.failed_inputs},
          {"images", std::move(images)}};
}

bool is_done(const fs::path& base, const Endings& all, int64_t since) {
  return std::all_of(all.begin(), all.end(), [&](const std::vector<std::string>& endings) {
    return std::any_of(endings.begin(), endings.end(),
                       [&](const std::string& ending) { return time_of(base.string() + ending) >= since; });
  });
}

int64_t time_of(const fs::path& path) {
  struct stat s;
  if (stat(path.c_str(), &s) != 0 || !(S_ISREG(s.st_mode) || is_zarr(path))) return 0;
  return int64_t(s.st_mtim.tv_sec) * 1000000000 + s.st_mtim.tv_nsec;
}

bool filled_before(const fs::path& out) {
  const std::vector<ShardFile> shards = find_shards(out);
  return made_by("segment", out / "run.json") || std::any_of(shards.begin(), shards.end(), [](const ShardFile& shard) {
           return made_by("segment", shard.path);
         });
}

std::optional<fs::path> EarlierResults::other_image(const ImageFile& image) const {
  const auto known = images.find(image.stem);
  if (known == images.end()) return {};
  std::error_code none;
  for (const fs::path& path : known->second)
    if (fs::equivalent(path, image.path, none)) return {};
  return known->second.front();
}

Json inputs_of(const Json& record) {
  Json inputs;
  for (const char* key : {"folder", "input", "recursive"})
    inputs[key] = record.value(key, Json());
  return inputs;
}

std::optional<EarlierResults> earlier_results(const fs::path& out, const Shard& shard, const Json& record) {
  std::vector<fs::path> paths{out / shard_file("run", ".json", shard)};
  if (!fs::exists(paths[0])) {
    paths = {out / "run.json"};
    for (const ShardFile& other : find_shards(out))
      paths.push_back(other.path);
  }
  std::optional<EarlierResults> results;
  std::set<Json> inputs;  // of all runs, each once
  for (const fs::path& path : paths) {
    const Json run = read_run_json(path);
    if (run.is_null()) continue;
    check_record(run, path.string());
    for (const char* setting : result_settings)
      if (run.value(setting, Json()) != record.value(setting, Json()))
        refuse("--skip-existing: according to ", path.string(), " the results in ", out.string(),
               " were made with a different ", name_of_setting(setting),
               "; give another --out, or leave out --skip-existing to make them again");
    if (!results) results.emplace().since = INT64_MAX;
    results->since = std::min(results->since, run.value(since_key, time_of(path)));
    if (run.contains("input")) inputs.insert(inputs_of(run));
    for (const Json& earlier : run.value(earlier_inputs_key, Json::array()))
      inputs.insert(earlier);
  }
  if (!results) return {};
  results->inputs = Json(std::vector<Json>(inputs.begin(), inputs.end()));
  for (const Json& given : inputs) {
    SegmentRecord of_run;
    of_run.folder = text_of(given["folder"]);
    of_run.inputs = given["input"].get<std::vector<std::string>>();
    of_run.recursive = given["recursive"] == true;
    try {
      std::vector<std::string> notes;
      for (const ImageFile& image : recorded_images(of_run, {}, notes))
        results->images[image.stem].push_back(image.path);
    } catch (const std::exception&) {
      // These inputs can no longer be listed, so their results are taken for those of images with the same names.
    }
  }
  return results;
}

}  // namespace basin::tools

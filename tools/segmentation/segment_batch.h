#pragma once
// Which images `segment` works on: of one folder or of a tree, of one shard, and without those that are done.
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/dataset/dataset.h"
#include "engine/json.h"
#include "tools/results/result_checks.h"
#include "tools/results/shards.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// The images of one run.
struct Batch {
  Shard shard;
  std::vector<ImageFile> images;  // of this shard, in order
  size_t images_of_all_shards = 0;
  std::string fingerprint;                 // of the stems and paths of the images of all shards
  std::vector<std::string> failed_inputs;  // those that are missing or contain no images

  /// The stems of the images without those that failed.
  std::vector<std::string> stems_without(const std::vector<std::string>& failed) const;
};

/// Finds the images of the inputs, and in folders below them if `recursive`. Inputs that cannot be read are reported
/// and noted as failed; files that are left out are reported on stderr. Throws if the results of two images would have
/// the same names.
Batch plan_batch(const std::vector<std::string>& inputs, bool recursive, const Shard&, Outcome&);

/// What a shard's run.json says about the batch, so that `merge` can put the shards together.
Json shard_record(const Batch&);

/// Whether all these files of an image exist at `base` and none is older than the time `since`. A file gets its final
/// name when it is complete, so that the image is then done.
bool is_done(const std::filesystem::path& base, const Endings&, int64_t since);

/// When a file or a Zarr store was written, by the clock of its file system, in nanoseconds since 1970; 0 if there is
/// no file.
int64_t time_of(const std::filesystem::path&);

/// Whether the folder has a run.json, or one of a shard, that says that `segment` has written there before.
bool filled_before(const std::filesystem::path& out);

/// The settings in run.json that the results of an image depend on.
extern const std::vector<const char*> result_settings;
/// The name of such a setting in messages.
std::string name_of_setting(const std::string& setting);

/// What the records of earlier runs say about the results in a folder.
struct EarlierResults {
  int64_t since = 0;  // the time since which they were made with the settings of the present run
  Json inputs;        // of the runs that made them, for the member earlier_inputs of the next record
  std::map<std::string, std::vector<std::filesystem::path>> images;  // by stem, as far as they still exist

  /// The image to which the results with this stem belong, if that is a different image.
  std::optional<std::filesystem::path> other_image(const ImageFile&) const;
};

/// The part of a record that describes the inputs: the folder where it ran, its arguments, and whether --recursive was
/// given.
Json inputs_of(const Json& record);

/// What the record of an earlier run of the same shard says about the results in this folder, or if that shard has not
/// run before, what the records of all other runs say. Empty if there are no records. Throws one sentence if their
/// settings differ from those of `record`.
std::optional<EarlierResults> earlier_results(const std::filesystem::path& out, const Shard&, const Json& record);

}  // namespace basin::tools

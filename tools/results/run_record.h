#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "data/files/stack.h"
#include "engine/json_fwd.h"

namespace basin::tools {

/// The member of run.json with the time, in ns since 1970, since which all results in the folder have these settings.
inline constexpr const char* since_key = "results_since_ns";

/// The member with the inputs of earlier runs whose results are also in the folder.
inline constexpr const char* earlier_inputs_key = "earlier_inputs";

/// Reads a run.json. Throws one sentence with the file's name if it cannot be read or is not a JSON object.
Json read_record(const std::filesystem::path&);

/// Checks the types of the members of a record of `segment` that this program reads. Throws one sentence that begins
/// with `name` and names the member if one has another type than `segment` writes. Members may be missing, and there
/// may be unknown ones.
void check_record(const Json&, const std::string& name);

/// The record of a run of `segment`, with paths as they were given to it.
struct SegmentRecord {
  std::string folder, model;  // where it ran; the model's path
  std::vector<std::string> inputs, save, failed;
  PlaneChoice choice;
  bool recursive = false, finished = true;
  std::map<std::string, std::vector<std::string>> remarks;  // sentences about an image
};
/// Throws like check_record, and also if a member is missing that every run has.
SegmentRecord segment_record_of(const Json&, const std::string& name);

/// The record of a shard.
struct ShardRecord {
  int64_t images_of_all_shards = 0;
  std::string fingerprint;  // of the images of all shards
  std::vector<std::string> failed_inputs, failed;
  std::vector<std::pair<std::string, std::string>> images;  // stem and path of each of its images
};
/// Throws like segment_record_of, and also if the shard has not finished.
ShardRecord shard_record_of(const Json&, const std::string& name);

}  // namespace basin::tools

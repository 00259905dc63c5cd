#pragma once
// The folder with the intermediate results of an image that is segmented in blocks.
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/json.h"

namespace basin::tools {

/// Where an image whose results begin with `base` keeps its scratch files. Hidden, so that no command takes them for
/// results.
std::filesystem::path scratch_folder(const std::filesystem::path& base);

/// How large a scratch folder, which need not exist yet, may become: its present bytes and the free bytes on its disk.
int64_t room_for(const std::filesystem::path& scratch);

/// Prepares a scratch folder that this process has locked. `record`: everything that its files depend on. Returns
/// whether the folder contains files of an earlier run from which this one continues. Throws one sentence that begins
/// with `name` if it should `resume`, but the files have another record.
bool prepare_scratch(const std::filesystem::path& scratch, const Json& record, bool resume, const std::string& name);

/// Removes a scratch folder that this process has locked.
void remove_scratch(const std::filesystem::path& scratch);
/// Removes a scratch folder, if there is one, that no process has locked.
void remove_abandoned_scratch(const std::filesystem::path& scratch);

}  // namespace basin::tools

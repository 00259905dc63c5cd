#pragma once
// The folder in which an image that is segmented in blocks keeps what it has computed so far.
#include <cstdint>
#include <filesystem>
#include <string>

#include "engine/json.h"

namespace basin::tools {

/// Where an image whose results begin with `base` keeps its scratch files. Hidden, so that no command takes them for
/// results.
std::filesystem::path scratch_folder(const std::filesystem::path& base);

/// Bytes on the disk that a scratch folder, which need not exist yet, may hold: those that are free and those it has.
int64_t room_for(const std::filesystem::path& scratch);

/// Prepares a scratch folder. `record`: what its files depend on. Returns whether it holds those of an earlier run to
/// continue with. Throws one sentence that begins with `name` if it is to `resume` from files with another record.
bool prepare_scratch(const std::filesystem::path& scratch, const Json& record, bool resume, const std::string& name);

/// Removes a scratch folder. Its state goes first, so that nothing continues from a folder that was removed in part.
void remove_scratch(const std::filesystem::path& scratch);

}  // namespace basin::tools

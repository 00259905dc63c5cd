#pragma once
#include <filesystem>
#include <string>

#include "engine/json_fwd.h"

namespace basin::tools {

/// Remembers the command line, for run.json.
void remember_command(int argc, char** argv);

/// Remembers the name of the command and the values of its options, for run.json.
void remember_settings(const std::string& subcommand, Json values);
/// Records the actual value of an option that does not determine it, such as --threads 0. Does nothing if the command
/// has no such option.
void resolve_setting(const std::string& name, Json value);

/// What write_run_json writes: the command line and working directory that repeat the run, the version, and the values
/// of the command's options, overridden by `settings`.
Json run_record(Json settings);

/// For a command that writes a folder: writes its run_record.
void write_run_json(const std::filesystem::path&, Json settings);

/// A run.json as it was written; null if it is missing or damaged.
Json read_run_json(const std::filesystem::path&);

/// Whether this run.json was written by this command.
bool made_by(const std::string& subcommand, const std::filesystem::path&);

/// Whether the run.json of this folder says that `basin segment` has written results there; and the warning about
/// labels in such a folder.
bool holds_predictions(const std::filesystem::path& folder);
inline constexpr const char* predictions_warning =
    "`basin segment` has written results here; its labels are predictions, not the truth";

/// Throws one sentence if `file` exists and was not written by this command, as FILE.run.json beside it would say.
/// Empty files, and what is not a regular file, such as /dev/stdout, may be written by every command.
void keep_file_of_others(const std::string& subcommand, const std::filesystem::path& file);

/// For a command that writes single files: writes the same with the values of the command's options as FILE.run.json
/// beside one of them. Writes nothing if `file` is not a regular file, such as /dev/stdout.
void write_run_json_beside(const std::filesystem::path& file);

}  // namespace basin::tools

#pragma once
#include <filesystem>
#include <string>

#include "engine/json_fwd.h"

namespace basin::tools {

/// Remembers the command line, for run.json.
void remember_command(int argc, char** argv);

/// Remembers which command runs and the values of its options, for run.json.
void remember_settings(const std::string& subcommand, Json values);
/// What an option came to that left it open, such as the number of threads where 0 stands for all. Nothing happens
/// where the command has no such option.
void resolve_setting(const std::string& name, Json value);

/// For a command that writes a folder: the values of its options, what the run resolved its settings to (these win),
/// the command that repeats it, the folder in which it does so, and the version.
void write_run_json(const std::filesystem::path&, Json settings);

/// Whether a run.json was written by this command.
bool made_by(const std::string& subcommand, const std::filesystem::path&);

/// For a command that writes single files: the same beside the first of them, as FILE.run.json, with the values of the
/// command's options. Nothing beside what is no file, such as /dev/stdout.
void write_run_json_beside(const std::filesystem::path& file);

}  // namespace basin::tools

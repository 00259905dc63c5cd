#pragma once
#include <filesystem>

#include "engine/json_fwd.h"

namespace basin::tools {

/// Remembers the command line, for run.json.
void remember_command(int argc, char** argv);

/// Writes what a run resolved its settings to, the command that repeats it and the version.
void write_run_json(const std::filesystem::path&, Json settings);

}  // namespace basin::tools

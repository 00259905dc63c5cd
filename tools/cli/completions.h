#pragma once
#include <string>

#include "tools/cli/options.h"

namespace basin::tools {

/// A script for bash that completes the commands of the program, their options, and the values of options that have a
/// list of choices or take the name of a shipped model; file names otherwise. Needs no other package.
std::string bash_completion(const CommandInfo& program);

/// The same for zsh: a file to be put into a folder of $fpath as _PROGRAM.
std::string zsh_completion(const CommandInfo& program);

}  // namespace basin::tools

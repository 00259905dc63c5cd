#pragma once
#include <string>

#include "tools/cli/options.h"

namespace basin::tools {

/// The manual page of the program (troff, section 1), with the list of its commands.
std::string manual_page(const CommandInfo& program, const std::string& version);

/// The manual page of one of its commands: PROGRAM-COMMAND(1).
std::string manual_page(const CommandInfo& program, const CommandInfo& command, const std::string& version);

}  // namespace basin::tools

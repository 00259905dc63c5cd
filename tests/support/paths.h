#pragma once
#include <string>

namespace basin {

/// The root of the source tree, and the basin command of this build.
std::string source_dir();
std::string basin_command();

}  // namespace basin

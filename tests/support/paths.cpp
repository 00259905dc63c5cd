#include "tests/support/paths.h"

// The only test source that is compiled with absolute paths, so that a compiler cache works for the others in any
// folder.
std::string basin::source_dir() { return BASIN_SOURCE_DIR; }
std::string basin::basin_command() { return BASIN_COMMAND; }

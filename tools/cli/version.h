#pragma once
#include <string>

namespace basin::tools {

/// The commit that this program was built from, with "-dirty" if files were changed; empty if it was not built from a
/// git repository. Defined in a file that the build generates.
const char* commit();

/// "g++ 12.2.0".
std::string compiler_name();

/// What --version prints: the version, the commit, how it was built, and the versions of the libraries, one line each.
std::string version_text();

}  // namespace basin::tools

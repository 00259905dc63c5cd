#pragma once
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "engine/json.h"
#include "tests/support/file_support.h"
#include "tests/support/paths.h"

namespace basin::test {

struct Ran {
  int code;  // exit status; -1 if a signal ended it
  std::string out, err;
};

/// Runs the basin command with these shell arguments in `folder`. `before` may set environment variables.
inline Ran run_basin(const Folder& folder, const std::string& words, const std::string& before = "") {
  const std::filesystem::path out = folder / ".out", err = folder / ".err";
  const std::string line = "cd '" + folder.path().string() + "' && " + before + " '" + basin::basin_command() + "' " +
                           words + " </dev/null >'" + out.string() + "' 2>'" + err.string() + "'";
  const int status = std::system(line.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_bytes(out), read_bytes(err)};
}

/// The content of a JSON file, such as a run.json.
inline Json json_in(const std::filesystem::path& path) { return Json::parse(read_bytes(path)); }

}  // namespace basin::test

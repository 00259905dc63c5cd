#include <cstddef>
#include <cstdio>
#include <mutex>
#include <vector>

#include "tools/cli/command.h"
#include "tools/cli/version.h"
#include "tools/library/calls.h"
#include "tools/library/device.h"

using namespace basin;
using namespace basin::library;

// What programs that were compiled for this version rely on.
static_assert(sizeof(basin_array) == 64 && offsetof(basin_array, shape) == 16 && offsetof(basin_array, strides) == 40);
static_assert(sizeof(basin_option) == 2 * sizeof(void*));

basin_status basin_require(int version) {
  return call([&] {
    if (version != BASIN_API_VERSION)
      throw CallError(BASIN_ERROR_VERSION, "this library has version " + std::to_string(BASIN_API_VERSION) +
                                               " of the interface, and the program needs version " +
                                               std::to_string(version));
  });
}

const char* basin_version(void) { return BASIN_VERSION; }

const char* basin_build(void) {
  const char* text = "";
  call([&] {
    static const std::string lines = tools::version_text();
    text = lines.c_str();
  });
  return text;
}

basin_status basin_run(int argument_count, const char* const* arguments) {
  return call([&] {
    if (argument_count > 0) need(arguments, "arguments");
    std::vector<std::string> all{"basin"};
    for (int k = 0; k < argument_count; ++k) {
      need(arguments[k], "an argument");
      all.push_back(arguments[k]);
    }
    std::vector<char*> argv;
    for (std::string& argument : all)
      argv.push_back(argument.data());
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    const std::unique_lock<std::mutex> turn = gpu_turn();  // the command may use one
    const Threads threads(0);                              // restores the number of threads after the command
    const int code = tools::run_program(int(argv.size()), argv.data());
    std::fflush(stdout);
    if (code != 0) throw CallError(BASIN_ERROR_FAILED, "the command ended with code " + std::to_string(code));
  });
}

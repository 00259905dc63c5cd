#pragma once
#include <cstddef>
#include <functional>

#include "tools/cli/command.h"
#include "tools/library/basin.h"

namespace basin::library {

/// Reads the caller's options like the command line of `basin COMMAND`. `declare` adds the options that the function
/// takes. Throws one sentence with BASIN_ERROR_OPTION for any other name, and for a bad value.
void read_options(const char* command, const basin_option* options, size_t count,
                  const std::function<void(tools::Command&)>& declare);

/// The same for a step of tools/cli/steps.h: sets its options, and returns those of the device that it runs on.
template <class Step>
tools::Common read_step_options(const char* command, const basin_option* options, size_t count, Step& step) {
  tools::Common common;
  read_options(command, options, count, [&](tools::Command& declared) {
    step.add_to(declared);
    add_device_options(declared, common);
  });
  return common;
}

}  // namespace basin::library

#include "tools/library/calls.h"

namespace basin::library {
namespace {

std::string& last_error() {
  thread_local std::string text;
  return text;
}

}  // namespace

basin_status report(basin_status status, const char* what) noexcept {
  try {
    last_error() = what;
  } catch (const std::bad_alloc&) {
    last_error().clear();
  }
  return status;
}

}  // namespace basin::library

const char* basin_last_error(void) { return basin::library::last_error().c_str(); }

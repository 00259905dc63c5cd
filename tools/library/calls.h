#pragma once
#include <new>
#include <string>

#include "kernels/runtime/platform.h"
#include "tools/library/basin.h"

namespace basin::library {

/// An error with the status that the caller gets for it.
struct CallError : Error {
  CallError(basin_status status, const std::string& what) : Error(what), status(status) {}
  basin_status status;
};

/// Remembers one sentence for basin_last_error(), and returns the status.
basin_status report(basin_status, const char* what) noexcept;

/// Calls f; an Error that has no status yet gets this one.
template <class F>
auto during(basin_status status, const F& f) {
  try {
    return f();
  } catch (const CallError&) {
    throw;
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& e) {
    throw CallError(status, e.what());
  }
}

/// The body of every function of the interface: calls f, and turns exceptions into a status with a sentence.
template <class F>
basin_status call(const F& f) noexcept {
  try {
    f();
    return report(BASIN_OK, "");
  } catch (const CallError& e) {
    return report(e.status, e.what());
  } catch (const OutOfMemory& e) {
    return report(BASIN_ERROR_MEMORY, e.what());
  } catch (const std::bad_alloc&) {
    return report(BASIN_ERROR_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return report(BASIN_ERROR_FAILED, e.what());
  } catch (...) {
    return report(BASIN_ERROR_FAILED, "an exception of an unknown type");
  }
}

/// Throws unless a pointer that the caller passed is set.
inline void need(const void* pointer, const char* name) {
  if (!pointer) throw CallError(BASIN_ERROR_ARGUMENT, std::string(name) + " is a null pointer");
}

}  // namespace basin::library

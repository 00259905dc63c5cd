#pragma once
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>

// The only place that checks whether a CUDA compiler is compiling.
#ifdef __CUDACC__
#define BASIN_HD __host__ __device__
#else
#define BASIN_HD
#endif
#ifndef BASIN_CUDA
#define BASIN_CUDA 0
#endif
#if BASIN_CUDA
#include <cuda_runtime.h>
#endif

namespace basin {

/// Every error that has a message for the user. `main` catches it once and prints what().
class Error : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A device or the system has not enough free memory for an allocation.
class OutOfMemory : public Error {
  using Error::Error;
};

/// An error that all processes of a run throw together, so that none waits for another: see do_on_all().
class JointError : public Error {
  using Error::Error;
};

/// Calls f. An exception is rethrown as the same type with the name of what it is about in front of its message.
template <class F>
auto with_name(const std::string& name, const F& f) {
  try {
    return f();
  } catch (const OutOfMemory& e) {
    throw OutOfMemory(name + ": " + e.what());
  } catch (const JointError& e) {
    throw JointError(name + ": " + e.what());
  } catch (const Error& e) {
    throw Error(name + ": " + e.what());
  }
}

/// For bad input: throws one sentence, which names the file.
template <class... A>
[[noreturn]] void refuse(const A&... what) {
  std::ostringstream s;
  (s << ... << what);
  throw Error(s.str());
}

/// For a violated precondition inside Basin: the message begins with the source location. Used through BASIN_CHECK.
template <class... A>
[[noreturn]] void fail(const char* file, int line, const A&... what) {
  refuse(file, ':', line, ": ", what...);
}

}  // namespace basin

/// Also checked in release builds.
#define BASIN_CHECK(cond, ...)                                                           \
  do {                                                                                   \
    if (!(cond)) ::basin::fail(__FILE__, __LINE__, "expected " #cond "; ", __VA_ARGS__); \
  } while (0)
#if BASIN_CUDA
#define BASIN_CUDA_CHECK(call)                                                                    \
  do {                                                                                            \
    const cudaError_t e_ = (call);                                                                \
    if (e_ != cudaSuccess) ::basin::fail(__FILE__, __LINE__, #call ": ", cudaGetErrorString(e_)); \
  } while (0)
#endif

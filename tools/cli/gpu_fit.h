#pragma once
#include <string>
#include <vector>

// Whether a build, a driver, cuDNN and a GPU fit together. Text and numbers alone: needs no GPU and no CUDA.

namespace basin::tools {

/// The GPUs that code is for, as CMake names them: 61, 90a, 100f.
struct Architecture {
  int capability = 0;  // 10 major + minor
  char suffix = 0;     // 'a': that capability alone; 'f': its major version from it on

  bool operator==(const Architecture&) const = default;
};

/// What a build holds for GPUs.
struct Architectures {
  std::vector<Architecture> machine;  // machine code
  std::vector<Architecture> ptx;      // code that a driver translates
};

/// From CMAKE_CUDA_ARCHITECTURES with spaces between: "61-real 90 100a-virtual"; -real is machine code alone, -virtual
/// PTX alone, neither both. What is not of this form is left out.
Architectures parse_architectures(const std::string&);

/// "sm_61, sm_70, and PTX for 9.0".
std::string to_string(const Architectures&);

/// 12040 is "12.4", and of cuDNN 91002 "9.10.2".
std::string cuda_version(int);
std::string cudnn_version(int);

/// How code for an architecture meets a GPU. Machine code runs on its major version from its minor version on; PTX can
/// be translated for every later GPU.
bool runs_on(const Architecture& machine, int major, int minor);
bool translates_for(const Architecture& ptx, int major, int minor);

/// A verdict, and whether the build works on the GPU.
struct Fit {
  bool fits = false;
  std::string sentence;
};

/// A driver runs machine code of its own major version, and of older
/// ones; PTX it translates if it is as new as the toolkit that made it.
Fit fit_of_gpu(int major, int minor, const Architectures&, int driver, int toolkit);
/// driver 0: there is none.
Fit fit_of_driver(int driver, int toolkit);
/// Of cuDNN 9. The last with code for GPUs before compute capability 7.5 is 9.10.
Fit fit_of_cudnn(int major, int minor, int found, int built_with);

}  // namespace basin::tools

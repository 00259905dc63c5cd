#pragma once
#include <string>
#include <vector>

// Whether a build, a driver, cuDNN and a GPU fit together. Works on text and numbers only: needs neither a GPU nor
// CUDA.

namespace basin::tools {

/// An architecture that code is compiled for, as CMake names it: 61, 90a, 100f.
struct Architecture {
  int capability = 0;  // 10 major + minor
  char suffix = 0;     // 'a': only that exact capability; 'f': that capability and later ones of the same major version

  bool operator==(const Architecture&) const = default;
};

/// The GPU architectures that a build contains code for.
struct Architectures {
  std::vector<Architecture> machine;  // machine code
  std::vector<Architecture> ptx;      // PTX, which a driver translates
};

/// Parses CMAKE_CUDA_ARCHITECTURES separated by spaces: "61-real 90 100a-virtual"; -real is machine code only, -virtual
/// PTX only, no suffix both. Words of any other form are ignored.
Architectures parse_architectures(const std::string&);

/// "sm_61, sm_70, and PTX for 9.0".
std::string to_string(const Architectures&);

/// 12040 as "12.4"; for cuDNN 91002 as "9.10.2".
std::string cuda_version(int);
std::string cudnn_version(int);

/// Whether code for an architecture works on a GPU. Machine code runs on GPUs of the same major and the same or a later
/// minor version; PTX can be translated for every later GPU.
bool runs_on(const Architecture& machine, int major, int minor);
bool translates_for(const Architecture& ptx, int major, int minor);

/// A verdict, and a sentence that explains it.
struct Fit {
  bool fits = false;
  std::string sentence;
};

/// Whether the build works on the GPU. A driver runs machine code of its own major version and of older ones; it
/// translates PTX if it is at least as new as the toolkit that generated it.
Fit fit_of_gpu(int major, int minor, const Architectures&, int driver, int toolkit);
/// driver 0: no driver is installed.
Fit fit_of_driver(int driver, int toolkit);
/// For cuDNN 9. The last version with code for GPUs before compute capability 7.5 is 9.10.
Fit fit_of_cudnn(int major, int minor, int found, int built_with);

}  // namespace basin::tools

#include "tools/cli/version.h"

#include <fmt/format.h>

#include "data/arrays/library_versions.h"
#include "data/files/library_versions.h"
#include "engine/json.h"
#include "kernels/conv/conv_onednn.h"
#include "kernels/conv/conv_plan_cudnn.h"
#include "kernels/runtime/exec.h"
#include "tools/cli/gpu_fit.h"
#include "tools/cli/options.h"

namespace basin::tools {
namespace {

std::string options_text() {
  std::string text = BASIN_BUILD_TYPE;
#ifdef BASIN_NO_ISA
  text += ", baseline instructions";
#else
  text += ", instructions up to AVX-512";
#endif
#if BASIN_EMULATE
  text += ", CUDA side on an emulated device";
#elif BASIN_CUDA
  text += ", CUDA for " + to_string(parse_architectures(BASIN_CUDA_ARCHITECTURES));
#else
  text += ", no CUDA";
#endif
#if BASIN_SANITIZE
  text += ", sanitizers";
#endif
  return text + ", " + compiler_name();
}

std::string libraries_text() {
  std::string text = kernels::onednn_version();
#if BASIN_CUDA && !BASIN_EMULATE
  text += ", CUDA " + cuda_version(CUDART_VERSION) + ", cuDNN " + cudnn_version(kernels::cudnn_versions().found);
#endif
  for (const std::string& library : {raster::tiff_version(), raster::png_version(), raster::jpeg_version(),
                                     raster::xml_version(), compression_versions()})
    text += ", " + library;
  return text + fmt::format(", nlohmann-json {}.{}.{}, {}, fmt {}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                            NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH, cli11_version(),
                            FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
}

}  // namespace

std::string compiler_name() {
#if defined(__clang__)
  return "clang " __clang_version__;
#else
  return "g++ " __VERSION__;
#endif
}

std::string version_text() {
  std::string text = "basin " BASIN_VERSION "\n";
  if (*commit()) text += std::string("commit     ") + commit() + "\n";
  return text + "build      " + options_text() + "\nlibraries  " + libraries_text();
}

}  // namespace basin::tools

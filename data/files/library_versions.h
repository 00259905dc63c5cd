#pragma once
#include <string>

namespace basin::raster {

/// "libtiff 4.5.0", and so on: the libraries that read and write files, as they are loaded, or else as this program was
/// built with them.
std::string tiff_version();
std::string png_version();
std::string jpeg_version();
std::string xml_version();

}  // namespace basin::raster

#pragma once
#include <string>

namespace basin {

/// "zlib 1.2.13, zstd 1.5.4, blosc 1.21.3": the libraries that unpack the chunks of Zarr arrays, as they are loaded.
std::string compression_versions();

}  // namespace basin

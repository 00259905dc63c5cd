#pragma once
#include <filesystem>

#include "data/files/image.h"
#include "engine/plane_file.h"

namespace basin {

/// Reads a part of an image in a TIFF file or an OME-Zarr store, without reading more strips, tiles or chunks than have
/// pixels of it: the same pixels as those that read_image() gives. Throws like read_image(), and one sentence for what
/// cannot be read in parts: other formats, palettes of colours, and images that are to be turned.
Image read_image_part(const std::filesystem::path&, const PlaneChoice&, const PixelRect&);

}  // namespace basin

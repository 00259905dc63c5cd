#pragma once
#include <filesystem>

#include "data/files/image.h"
#include "engine/plane_file.h"

namespace basin {

/// Reads a part of an image in a TIFF file or an OME-Zarr store. Its pixels are those that read_image() gives; strips,
/// tiles and chunks without a pixel of the part are not read. Throws like read_image(), and one sentence for what
/// cannot be read in parts: other formats, colour palettes, and images with an orientation tag that rotates or mirrors
/// them.
Image read_image_part(const std::filesystem::path&, const PlaneChoice&, const PixelRect&);

}  // namespace basin

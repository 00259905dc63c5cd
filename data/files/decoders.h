#pragma once
// One decoder per format. Each returns what the file stores; decoded.h interprets it. Every error is one sentence with
// the file's name.
#include <filesystem>
#include <functional>

#include "data/files/decoded.h"
#include "data/files/stack.h"
#include "engine/plane_file.h"

namespace basin::raster {

Decoded read_png(const std::filesystem::path&);
Decoded read_jpeg(const std::filesystem::path&);
Decoded read_bmp(const std::filesystem::path&);

/// The stack of the full-resolution images of a TIFF. The choice's series is one of several images of an OME data set.
/// Throws one sentence, which names --series if that is offered, if there are several and none is chosen. Other members
/// of the choice have no effect.
Stack tiff_stack(const std::filesystem::path&, const PlaneChoice&);
/// Whether the file contains several images of an OME data set, of which the series chooses one.
bool tiff_holds_series(const std::filesystem::path&);
/// Decodes the images with the numbers in `planes`, in that order, and calls f with each; of each only `part`, unless
/// its height is 0. Strips and tiles that have no pixel of the part are not read.
void read_tiff_planes(const std::filesystem::path&, const PlaneChoice&, const std::vector<int64_t>& planes,
                      const PixelRect& part, const std::function<void(Decoded)>& f);

/// The stack of an image in an OME-Zarr store, at full resolution. The choice's series is one of several images, as a
/// path in the store or by its index from 0; empty: the only one. Throws one sentence, which names --series if that is
/// offered, if there are several. Other members of the choice have no effect.
Stack zarr_stack(const std::filesystem::path&, const PlaneChoice&);
/// Whether the store has several images, of which the series chooses one.
bool zarr_holds_series(const std::filesystem::path&);
/// The same as read_tiff_planes, of that image.
void read_zarr_planes(const std::filesystem::path&, const PlaneChoice&, const std::vector<int64_t>& planes,
                      const PixelRect& part, const std::function<void(Decoded)>& f);

}  // namespace basin::raster

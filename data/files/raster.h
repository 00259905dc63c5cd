#pragma once
// Shared by image.cpp, labels.cpp and others: reads a file of any format as [height][width][channels].
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/stack.h"
#include "data/files/stack_planes.h"
#include "engine/plane_file.h"

namespace basin::raster {

/// Whether numbers are interpreted as intensities or as labels: as_intensities and as_labels in decoded.h.
enum class Purpose { image, labels };

struct Picture {
  Array pixels;                    // [height][width][channels] in the file's own element type
  Stack stack;                     // all images of the file
  std::vector<std::string> notes;  // what reading it changed or left out
};

/// Reads PNG, JPEG, BMP or TIFF, recognised by its first bytes, or an OME-Zarr store; for an image the chosen channels
/// of one plane. If the height of `part` is not 0, only that part of a TIFF or OME-Zarr image is read, with the same
/// pixels as in the whole image. Every error is one sentence with the file's name.
Picture read(const std::filesystem::path&, Purpose, const PlaneChoice& = {}, const PixelRect& part = {});

/// The stack in a file: see stack_in() in stack_planes.h.
Stack stack_in(const std::filesystem::path&, const PlaneChoice&);

/// The planes of a file and, one after another, their pictures, as read() gives them.
StackPlanes planes_in(const std::filesystem::path&, const PlaneChoice&);
void read_planes(const std::filesystem::path&, const StackPlanes&, const PlaneChoice&,
                 const std::function<void(Picture)>& f);

/// Whether a file contains several independent images, one of which is chosen by the series of the choice.
bool holds_series(const std::filesystem::path&);

/// The number of images in a file, not counting reduced copies and masks: more than one only for TIFF
/// and OME-Zarr. Only the series of the choice has an effect.
int64_t count_images(const std::filesystem::path&, const PlaneChoice&);
/// Calls f with each image in turn, interpreted as labels.
void for_each_image(const std::filesystem::path&, const PlaneChoice&, const std::function<void(const Array&)>& f);

}  // namespace basin::raster

#pragma once
// What image.cpp, labels.cpp and their like share: one file, whatever its type, as [height][width][channels].
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/files/array.h"
#include "data/files/stack.h"

namespace basin::raster {

/// Whether numbers are wanted as intensities or as labels: as_intensities and as_labels of decoded.h.
enum class Purpose { image, labels };

struct Picture {
  Array pixels;                    // [height][width][channels] of the file's own element type
  Stack stack;                     // what the file holds
  std::vector<std::string> notes;  // what reading it changed or left out
};

/// PNG, JPEG, BMP or TIFF, by its first bytes; for an image the choice's channels of one plane. Every refusal is one
/// sentence with the file's name.
Picture read(const std::filesystem::path&, Purpose, const PlaneChoice& = {});

/// How many images a file holds, reduced copies and masks of others left out: above one only for TIFF.
int64_t count_images(const std::filesystem::path&);
/// Calls f with each of them in turn, as labels.
void for_each_image(const std::filesystem::path&, const std::function<void(const Array&)>& f);

}  // namespace basin::raster

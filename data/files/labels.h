#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

namespace basin {

/// A label image: 0 is background, k >= 1 the pixels of object k.
struct Labels {
  int height = 0, width = 0;
  int count = 0;             // objects: ids are 1..count, each present
  std::vector<int32_t> ids;  // [height][width]

  int32_t operator()(int y, int x) const { return ids[size_t(y) * size_t(width) + size_t(x)]; }
};

/// Renumbers arbitrary ids (order preserved, 0 stays background, negative is refused) to 1..count.
Labels compact(int height, int width, std::vector<int64_t> ids);

/// The pixel that pixel d of a resized axis shows, by centred nearest neighbours: floor((d + 1/2) old / resized).
inline int nearest_source(int d, int old, int resized) {
  return int((2 * int64_t(d) + 1) * old / (2 * int64_t(resized)));
}

/// Labels brought to another size by centred nearest neighbours, see nearest_source().
/// Objects that lose all their pixels are gone; the others are renumbered in their order.
Labels resized(const Labels&, int height, int width);

/// 8 or 16-bit grey PNG, 8, 16 or 32-bit integer TIFF, .npy of integers [H,W]; compacted. Throws one sentence with the
/// file's name for whatever read_image refuses, for colour, for fractions or negative values, and for a photograph.
Labels read_labels(const std::filesystem::path&);

/// "_masks.png", or "_masks.tif" where the objects are too many for 16 bits: what a label file's name ends with.
const char* masks_suffix(const Labels&);

/// By the extension: .png (16-bit; at most 65,535 objects), .tif or .tiff (16-bit, 32-bit above 65,535 objects), .npy
/// (int32). Lossless, written under a temporary name and renamed.
void write_labels(const std::filesystem::path&, const Labels&);

}  // namespace basin

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/files/array.h"

namespace basin {

/// A label image: 0 is background, k >= 1 the pixels of object k.
struct Labels {
  int height = 0, width = 0;
  int count = 0;                        // objects: ids are 1..count, each present
  std::vector<int32_t> ids;             // [height][width]
  std::vector<std::string> notes = {};  // what reading them changed: "turned by 180 degrees, as ..."

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

/// What speaks against numbers being labels.
struct LabelEvidence {
  int64_t pairs = 0, equal = 0;  // of neighbouring foreground pixels (8 neighbours); of these with the same number
  bool photograph = false;       // over 1000 pixels in pieces of fewer than 8, of which few numbers have many
  bool interpolated = false;     // a quarter of the pixels on borders lies between its neighbours, as after smoothing
};
LabelEvidence evidence(const Labels&);

/// Grey PNG, BMP, integer TIFF of up to 64 bits (whole numbers also as floats), .npy of integers [H,W]; compacted. For
/// palettes, polarity and orientation see as_labels of decoded.h. Throws one sentence with the file's name for whatever
/// read_image refuses, for colour, for fractions or negative values, for lossy compression, for a photograph, and for
/// labels that were interpolated.
Labels read_labels(const std::filesystem::path&);

/// A mask or label image as an array [height, width, channels], its numbers as they mean background (0) or not. Throws
/// as read_labels does for files that cannot be read or are lossy.
Array read_label_array(const std::filesystem::path&, std::vector<std::string>* notes = nullptr);

/// Whether label files have this extension: .png, .tif, .tiff, .bmp or .npy.
bool has_label_extension(const std::filesystem::path&);

/// "_masks.png", or "_masks.tif" where the objects are too many for 16 bits: what a label file's name ends with.
const char* masks_suffix(const Labels&);

/// By the extension: .png (16-bit; at most 65,535 objects), .tif or .tiff (16-bit, 32-bit above 65,535 objects), .npy
/// (int32). Lossless, written under a temporary name and renamed.
void write_labels(const std::filesystem::path&, const Labels&);

}  // namespace basin

#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/stack.h"
#include "data/files/stack_planes.h"

namespace basin {

/// A label image: 0 is background, the pixels of object k have the value k >= 1.
struct Labels {
  int height = 0, width = 0;
  int count = 0;                        // number of objects: ids are 1..count, each present
  std::vector<int32_t> ids;             // [height][width]
  std::vector<std::string> notes = {};  // what reading them changed: "turned by 180 degrees, as ..."

  int32_t operator()(int y, int x) const { return ids[size_t(y) * size_t(width) + size_t(x)]; }
};

/// Renumbers arbitrary ids (order preserved, 0 stays background, negative is refused) to 1..count.
Labels compact(int height, int width, std::vector<int64_t> ids);

/// The number of pixels of each object, [count + 1]; that of 0 is 0.
std::vector<int64_t> areas_of(const Labels&);

/// The source pixel of pixel d on a resized axis, by centred nearest neighbours: floor((d + 1/2) old / resized).
inline int nearest_source(int d, int old, int resized) {
  return int((2 * int64_t(d) + 1) * old / (2 * int64_t(resized)));
}

/// Labels resized by centred nearest neighbours, see nearest_source(). Objects that lose all their pixels are removed;
/// the others are renumbered in their order. `kept`: is given the earlier numbers of the objects that are left.
Labels resized(const Labels&, int height, int width, std::vector<int32_t>* kept = nullptr);

/// Evidence that numbers are not labels.
struct LabelEvidence {
  int64_t pairs = 0, equal = 0;      // neighbouring foreground pixels (8 neighbours); those of them with equal numbers
  int64_t borders = 0, between = 0;  // foreground pixels at borders; those of them in a ramp of numbers between objects
  bool photograph = false;           // over 1000 pixels in pieces of fewer than 8, and few numbers with many pixels
  bool interpolated = false;         // a quarter of the border pixels are such, as after smoothing
};
LabelEvidence evidence(const Labels&);

/// An 8-connected piece of an object.
struct Piece {
  int32_t id = 0;    // of the object
  int64_t area = 0;  // px
  int y = 0, x = 0;  // its first pixel in raster order
};
/// The pieces that the objects consist of, in the order of their first pixels.
std::vector<Piece> pieces_of(const Labels&);

/// The diameter of a disk of this area: 2 sqrt(area / pi).
double equivalent_diameter(double area);

/// Reads grey PNG, BMP, integer TIFF and OME-Zarr of up to 64 bits (floats if they are whole numbers), .npy of integers
/// [H,W]; renumbered to 1..count. For palettes, polarity and orientation see as_labels in decoded.h. Throws one
/// sentence with the file's name for whatever read_image refuses, for colour, fractions, negative values, lossy
/// compression, photographs, and labels that were interpolated. `choice`: the plane, if the file is a stack.
Labels read_labels(const std::filesystem::path&, const PlaneChoice& choice = {});

/// The labels in an array [height, width] of integers or whole numbers, renumbered to 1..count. Throws like
/// read_labels, with sentences that begin with `name`.
Labels labels_from(const Array&, const std::string& name);

/// The part of a choice that applies to a label image, whose image it is for. A single label image may belong to one
/// plane of a stack, and the labels of one image to one of several.
PlaneChoice choice_for_labels(const std::filesystem::path&, const PlaneChoice&);

/// The planes of a label file that a choice leaves open. Throws like planes_in.
StackPlanes planes_in_labels(const std::filesystem::path&, const PlaneChoice&);

/// Reads a mask or label image as an array [height, width, channels], in which 0 is background. Throws like read_labels
/// for files that cannot be read or are lossy.
Array read_label_array(const std::filesystem::path&, std::vector<std::string>* notes = nullptr,
                       const PlaneChoice& choice = {});

/// Whether label files may have this extension: .png, .tif, .tiff, .bmp, .npy or .zarr.
bool has_label_extension(const std::filesystem::path&);

/// The ending of a label file's name: "_masks.png", or "_masks.tif" if there are too many objects for 16 bits.
const char* masks_suffix(const Labels&);

/// The format follows from the extension: .png (16-bit; at most 65,535 objects), .tif or .tiff (16-bit, 32-bit above
/// 65,535 objects), .npy (int32). Lossless, written under a temporary name and renamed.
void write_labels(const std::filesystem::path&, const Labels&);

}  // namespace basin

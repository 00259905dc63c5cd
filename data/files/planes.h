#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/files/array.h"
#include "data/files/labels.h"

namespace basin {

/// Objects that may share pixels, as worms do that cross: each has a mask of its own, kept as runs of its pixels.
struct Planes {
  struct Run {
    int64_t begin, end;  // pixels y * width + x
  };
  int height = 0, width = 0;
  std::vector<std::vector<Run>> objects;  // each with its runs in order; none is empty

  /// The object of the pixels [height, width, channels] that are not 0 in any channel; none where all are 0. Throws one
  /// sentence that begins with `where` if pixels differ inside: several numbers are several objects.
  void add(const Array& mask, const std::string& where);
};

/// One label image of them, numbered in their order; where two share a pixel, the first keeps it. An object that keeps
/// none is lost.
Labels flatten(const Planes&);

/// Whether two objects have a pixel in common.
bool share_pixels(const Planes&);

/// The objects of a stack of masks: an .npy file [objects, H, W], or a TIFF of several images. Each image is 0 outside
/// its object and one number inside; one without an object counts for nothing. No value: the file holds one image.
/// Throws one sentence with the file's name for a file that cannot be read, and for a stack that is none of masks.
std::optional<Planes> read_stack(const std::filesystem::path&);

}  // namespace basin

#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/arrays/array.h"
#include "data/files/labels.h"

namespace basin {

/// Objects that may share pixels, such as crossing worms: each has its own mask, stored as runs of its pixels.
struct Planes {
  struct Run {
    int64_t begin, end;  // pixels y * width + x
    bool operator==(const Run&) const = default;
  };
  int height = 0, width = 0;
  std::vector<std::vector<Run>> objects;  // for each object its runs in order; none is empty, except after resized()
  std::vector<std::string> notes = {};    // what reading them changed or left out

  /// Adds the object formed by the pixels [height, width, channels] that are not 0 in any channel; nothing if all are
  /// 0. Throws one sentence that begins with `where` if its pixels have different values: these are several objects.
  void add(const Array& mask, const std::string& where);
};

/// Extends runs in raster order by the pixels [begin, end), which come after theirs. Neighbouring runs become one.
void append_run(std::vector<Planes::Run>&, int64_t begin, int64_t end);

/// The objects of a label image, each with its own mask.
Planes masks_of(const Labels&);

/// The objects with these numbers (1, 2, ...), in this order.
Planes selected(const Planes&, const std::vector<int32_t>& numbers);

/// Resized like resized(Labels): objects that lose all their pixels are left without a run.
Planes resized(const Planes&, int height, int width);

/// One label image of all objects, numbered in their order; where two share a pixel, the first keeps it. An object
/// without a remaining pixel is lost.
Labels flatten(const Planes&);

/// The objects that lose all their pixels in flatten(), by their index.
std::vector<size_t> covered(const Planes&);

/// Whether two objects share a pixel.
bool share_pixels(const Planes&);

/// Reads the objects of a stack of masks: an .npy file [objects, H, W], or a TIFF with several images. Each image is 0
/// outside its object and one number inside; images without an object are skipped. No value if the file contains a
/// single image, or if the choice names a plane. Throws one sentence with the file's name if the file cannot be read or
/// is not a stack of masks.
/// `images`: is given the number in the file, from 1, of each object's image.
std::optional<Planes> read_stack(const std::filesystem::path&, const PlaneChoice& choice = {},
                                 std::vector<int64_t>* images = nullptr);

}  // namespace basin

#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "engine/plane_file.h"
#include "engine/record_file.h"

namespace basin {

struct Maps;
class Ranks;

/// The input and output of decoding an image block by block: see Method::decode_blocks().
struct BlockDecoding {
  int height = 0, width = 0;                        // of the image
  int64_t window_pixels = 0;                        // of a block and its surroundings, at most
  float largest = 0;                                // magnitude of any component of the vector field
  double scale = 1;                                 // of the maps: see Maps::scale
  std::function<Maps(const PixelRect&)> maps = {};  // of a part of the image
  PlaneFile* clusters = nullptr;                    // int32, one plane of zeros: scratch memory of the decoding
  PlaneFile* labels = nullptr;                      // int32, one plane of zeros: receives the labels
  /// Records finished blocks; may be null. With the records, clusters and labels of an interrupted run, decoding
  /// continues with the blocks that are missing.
  SharedRecords* records = nullptr;
  Ranks* ranks = nullptr;  // share the blocks, and the files of clusters and labels; all of them decode the image
  /// Called with the share of the blocks that is done or has been begun by other ranks, 0 to 1, at the start and after
  /// each block of this rank.
  std::function<void(double)> progress = {};
};

/// The area of an object and its bounding box: rows y0 to y1 - 1, columns x0 to x1 - 1.
struct ObjectExtent {
  int64_t area = 0;
  int y0 = INT32_MAX, x0 = INT32_MAX, y1 = 0, x1 = 0;

  void add(int y, int x);
  /// Adds the pixels of a part of the object.
  void add(const ObjectExtent& part);

  bool operator==(const ObjectExtent&) const = default;
};

/// The bounding box of an object with at least one pixel.
inline PixelRect box_of(const ObjectExtent& o) { return {o.y0, o.x0, o.y1 - o.y0, o.x1 - o.x0}; }

}  // namespace basin

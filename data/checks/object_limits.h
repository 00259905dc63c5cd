#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>

namespace basin {

/// What a method cannot learn or find of the objects of an image. 0 means that there is no such limit.
struct ObjectLimits {
  int in_crop = 0;                 // largest number of objects in a training crop; the setting `capacity` raises it
  bool counts_mirrored = false;    // images smaller than a crop are mirrored, and in_crop counts the copies too
  int in_image = 0;                // largest number of objects that decoding finds in an image
  int narrow = 0;                  // px: training leaves out objects that are at most this wide or high
  int reach = 0;                   // px: the target of an object is 0 farther than this from its border
  std::string reach_setting = {};  // the setting that increases `reach`
};

constexpr int max_capacity = 65535;  // of the setting `capacity`

/// What to do where a training crop has, or may have, this many objects, and thus more than ObjectLimits::in_crop. The
/// capacity is the next power of two, so that images with somewhat more objects need no other.
inline std::string capacity_advice(int64_t objects) {
  if (objects > max_capacity) return "give a smaller --crop, with fewer objects";
  const uint64_t capacity = std::min(std::bit_ceil(uint64_t(objects)), uint64_t(max_capacity));
  return "give --set capacity=" + std::to_string(capacity) + ", or a smaller --crop";
}

}  // namespace basin

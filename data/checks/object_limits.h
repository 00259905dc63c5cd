#pragma once
#include <string>

namespace basin {

/// What a method cannot learn or find of the objects of an image. 0 means that there is no such limit.
struct ObjectLimits {
  int in_crop = 0;                 // largest number of objects in a training crop; a setting `capacity` raises it
  int in_image = 0;                // largest number of objects that decoding finds in an image
  int narrow = 0;                  // px: training leaves out objects that are at most this wide or high
  int reach = 0;                   // px: the target of an object is 0 farther than this from its border
  std::string reach_setting = {};  // the setting that increases `reach`
};

}  // namespace basin

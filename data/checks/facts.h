#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

/// What a check of training data needs to know of an image; its pixels may then be released.
struct ImageFacts {
  int height = 0, width = 0, channels = 0;
  bool separate_channels = false;  // see ChannelsOfImage
  PixelType type = PixelType::u8;
  double low = 0, high = 0;  // the smallest and the largest value of all channels
  double bright = 0;         // the 99.8th percentile of all values, by nearest rank
  double pixel_size = 0;     // as the file gives it, um; 0: unknown
  int bits_used = 0;         // integers: the bits that the largest value needs; 0 of floats
  std::string fingerprint;   // of size and pixels: see fingerprint(const Image&)
};
ImageFacts facts_of(const Image&);

/// "16-bit, 2 channels".
std::string kind_of(const ImageFacts&);

/// An object of a label image.
struct ObjectFacts {
  int64_t area = 0;           // px
  int height = 0, width = 0;  // of its bounding box, px
  Piece smallest = {};        // its smallest 8-connected piece
  int pieces = 0;
};

/// What a check of training data needs to know of a label image.
struct LabelFacts {
  std::vector<ObjectFacts> objects;  // 1, 2, ...
  LabelEvidence evidence;
  std::string fingerprint;  // of size and ids
};
LabelFacts facts_of(const Labels&);

/// Whether there is a single object that consists of several pieces: most likely this is a binary mask.
bool looks_binary(const LabelFacts&);
/// Whether many border pixels have numbers between those beside them, as after interpolation or anti-aliasing, but too
/// few for read_labels() to refuse the file.
bool looks_smoothed(const LabelFacts&);

}  // namespace basin

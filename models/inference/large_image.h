#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/dataset/normalise.h"
#include "engine/plane_file.h"
#include "models/inference/appearance.h"

namespace basin {

/// An image that is read in parts, because it may be larger than memory. It is normalised like a whole image: its parts
/// equal those of a Source with the whole image.
class LargeImage {
 public:
  using Read = std::function<Image(const PixelRect&)>;

  /// Reads the whole image once or twice, at most `max_bytes` of its pixels at a time, to find its normalisation.
  /// `channels`: those of the model. `read` throws, with the image's name, for values that cannot be used.
  LargeImage(Read read, int height, int width, int channels, const Normalisation&, const std::string& name,
             int64_t max_bytes);

  int height() const { return height_; }
  int width() const { return width_; }
  int channels() const { return channels_; }
  /// The part of an image that the network sees.
  Source part(const PixelRect&) const;
  Image raw_part(const PixelRect& rect) const { return read_(rect); }
  int64_t row_bytes() const { return row_bytes_; }
  /// The number of full rows that fit into this many bytes; at least 1.
  int rows_within(int64_t bytes) const;
  const Brightness& brightness() const { return brightness_; }
  /// What reading and normalising it changed or left out.
  const std::vector<std::string>& notes() const { return notes_; }
  /// Identifies its pixels.
  const std::string& fingerprint() const { return fingerprint_; }
  /// Pixel size and channels of the file.
  const Stack& stack() const { return stack_; }

 private:
  Read read_;
  int height_, width_, channels_;
  Normalisation norm_;
  int64_t row_bytes_ = 1;
  std::vector<Affine> affine_;
  Brightness brightness_;
  std::vector<std::string> notes_;
  std::string fingerprint_;
  Stack stack_;
};

}  // namespace basin

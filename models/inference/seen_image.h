#pragma once
#include <optional>

#include "engine/tensor.h"
#include "models/inference/large_image.h"

namespace basin {

/// A large image as the network sees it at a scale. Its parts have the bits of the same parts of at_scale().
class SeenImage {
 public:
  /// At most about `max_bytes` of the image's pixels are in memory at a time, and about as many bytes of normalised
  /// values. Throws like seen_size().
  SeenImage(const LargeImage&, double scale, int64_t max_bytes);

  int height() const { return height_; }
  int width() const { return width_; }
  int channels() const { return image_.channels(); }
  /// A part [C, height, width] on the device that segments. For parts side by side the image is read only once.
  Tensor part(const Exec&, const PixelRect&);

 private:
  /// The pixels of the image on which a part depends.
  PixelRect needed_for(const PixelRect&) const;
  /// Reads a part of the image, unless it is held already.
  void hold(const PixelRect&);
  /// The values of a part of the image.
  Tensor values(const Exec&, const PixelRect&);

  const LargeImage& image_;
  double scale_;
  int64_t max_bytes_;
  int height_, width_;
  std::optional<Source> held_;  // the part of the image that was read last
  PixelRect held_part_;
};

}  // namespace basin

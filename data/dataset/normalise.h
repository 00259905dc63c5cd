#pragma once
#include <string>
#include <vector>

#include "data/files/image.h"

namespace basin {

/// How pixel values become the numbers that a network sees; stored in a model, and the same in training and inference.
struct Normalisation {
  enum class Kind { divide, percentile, none };
  Kind kind = Kind::divide;
  double low = 1, high = 99.8;  // percentiles

  bool operator==(const Normalisation&) const = default;
};

/// What percentiles leave of a value far outside them: a few saturated or dead pixels would outweigh all others in a
/// network.
constexpr float darkest = -2, brightest = 3;

/// "divide": 8-bit values by 255, 16-bit by 65535, float unchanged; refused where the type says nothing of the values:
/// 32-bit integers, floats outside -0.5 to 1.5, 16-bit images of nothing above 255.
/// "percentile:lo,hi": (x - p_lo) / (p_hi - p_lo) per image and channel, over the whole image before any cropping,
/// limited to [darkest, brightest]; 0 for a constant image. "none": the values as they are.
Normalisation parse_normalisation(const std::string&);
std::string to_string(const Normalisation&);

/// Normalised x = (x - offset) / span; 0 where span is 0.
struct Affine {
  float offset = 0, span = 1;
};

/// An image ready to be cut: its channels as a model of `channels` channels takes them, and their normalisation. Grey
/// is repeated into 3 channels, 3 channels become grey by Rec. 601, on raw values; any other mismatch throws one
/// sentence that begins with `name`. Percentiles are linear between order statistics, at rank q / 100 (n - 1), of the
/// values as float32. Nothing is copied but the image itself.
class Source {
 public:
  Source(Image image, int channels, const Normalisation&, const std::string& name);

  int height() const { return image_.height; }
  int width() const { return image_.width; }
  int channels() const { return channels_; }
  /// Normalised values of one channel, columns [x0, x0 + n) of row y.
  void row(int channel, int y, int x0, int n, float* to) const;
  const Image& image() const { return image_; }

 private:
  Image image_;
  int channels_;
  bool limited_;                // to [darkest, brightest]
  std::vector<Affine> affine_;  // per channel
};

}  // namespace basin

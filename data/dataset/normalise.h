#pragma once
#include <string>
#include <vector>

#include "data/files/image.h"

namespace basin {

/// The normalisation of pixel values for the network: stored in a model, and the same in training and inference.
struct Normalisation {
  enum class Kind { divide, percentile, none };
  Kind kind = Kind::divide;
  double low = 1, high = 99.8;  // percentiles

  bool operator==(const Normalisation&) const = default;
};

/// Limits of percentile-normalised values: a few saturated or dead pixels far outside would outweigh all others in a
/// network.
constexpr float darkest = -2, brightest = 3;

/// "divide": 8-bit values by 255, 16-bit by 65535, float unchanged. Refused if the type does not define the range of
/// the values: 32-bit integers, floats outside -0.5 to 1.5, 16-bit images with no value above 255.
/// "percentile:lo,hi": (x - p_lo) / (p_hi - p_lo) per image and channel, over the whole image before any cropping,
/// limited to [darkest, brightest]; 0 for a constant image.
/// "none": the values unchanged.
Normalisation parse_normalisation(const std::string&);
std::string to_string(const Normalisation&);

/// Normalised x = (x - offset) / span; 0 if span is 0.
struct Affine {
  float offset = 0, span = 1;
};

/// What conversion to another number of channels depends on.
struct ChannelsOfImage {
  int count = 0;
  bool offered = false;   // whether --channel, which chooses channels, is an option of the command
  bool separate = false;  // not red, green and blue: along the axis C, or stains
};
ChannelsOfImage channels_of(const Image&);

/// Throws one sentence that begins with `name` if an image cannot be converted to `wanted` channels.
void check_channels(const ChannelsOfImage& has, int wanted, const std::string& name);

/// An image ready for cropping, with the channels that the model takes and their normalisation. Grey is repeated into 3
/// channels, 3 channels become grey by Rec. 601, on raw values; any other mismatch throws one sentence that begins with
/// `name`. Percentiles are linear between order statistics, at rank q / 100 (n - 1), of the values as float32. Copies
/// only the image.
class Source {
 public:
  Source(Image image, int channels, const Normalisation&, const std::string& name);
  /// A part of a larger image, with the normalisation of the whole image that a NormalisationSurvey found.
  Source(Image part, int channels, const Normalisation&, const std::vector<Affine>& of_whole);

  int height() const { return image_.height; }
  int width() const { return image_.width; }
  int channels() const { return channels_; }
  /// Writes the normalised values of one channel, columns [x0, x0 + n) of row y.
  void row(int channel, int y, int x0, int n, float* to) const;
  const Image& image() const { return image_; }
  /// The span of grey levels that becomes the values 0 to 1, in the channel where it is largest; 0 unless integers are
  /// normalised by percentiles.
  double grey_span() const;

 private:
  Image image_;
  int channels_;
  bool limited_;                // to [darkest, brightest]
  std::vector<Affine> affine_;  // one per channel
};

/// Finds the normalisation of an image that is read part by part: the same as that of a Source with the whole image. In
/// each of the passes, every pixel is added once.
class NormalisationSurvey {
 public:
  NormalisationSurvey(int channels, const Normalisation&, const std::string& name);
  ~NormalisationSurvey();

  int passes() const { return norm_.kind == Normalisation::Kind::percentile ? 2 : 1; }
  void add(const Image& part);
  /// Ends a pass, after which all pixels have been added once more.
  void end_pass();
  /// For each channel of the model. Adds to the notes of the image. Throws like Source.
  std::vector<Affine> result(std::vector<std::string>& notes) const;

 private:
  struct Percentiles;

  int channels_;
  Normalisation norm_;
  std::string name_;
  PixelType type_ = PixelType::u8;
  int image_channels_ = 0;
  double low_, high_;
  std::vector<Percentiles> percentiles_;  // of each channel of the model
};

}  // namespace basin

#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "engine/plane_file.h"
#include "engine/tensor.h"
#include "models/inference/appearance.h"

// What the search for the scale needs to know about an image before it runs the network.

namespace basin {

/// The image that is searched: a Source, or one that is read in parts.
struct SearchedImage {
  int height, width, channels;
  Brightness brightness;
  std::function<void(int channel, int y, float* to)> row;  // called for the rows from the top down
  std::function<Tensor(const PixelRect&)> part;            // [C, height, width], where the model is
};

/// Where the image differs most from its middle value: sums of min(|value - middle|, contrast) over rectangles made of
/// cells, of which there are at most 256 x 256. Also how smooth the image is from pixel to pixel.
class ImageContent {
 public:
  explicit ImageContent(const SearchedImage&);

  /// The square of this side within `in` that has the largest sum. Sides are cut to those of `in` if it is smaller.
  PixelRect fullest(int side, const PixelRect& in) const;
  PixelRect whole() const { return {0, 0, image_.height, image_.width}; }

  /// How little neighbouring pixels differ: the mean squared difference of pixels that are two apart over that of
  /// pixels that are one apart; the smaller of the ratios along rows and along columns. It is 4 if the image is smooth,
  /// about 2.5 if its edges are as sharp as pixels can show, and 1 if the noise of each pixel is independent. 0 if all
  /// pixels are equal or a side has fewer than three.
  double smoothness() const { return ratio(0); }
  /// The same for pixels that are four and two apart, which noise and interpolation affect less: near 4 if the image
  /// would lose no detail if it had half as many rows and columns. 0 if a side has fewer than five pixels.
  double smoothness_at_half_size() const { return ratio(1); }

 private:
  static constexpr int lags = 3;  // pixels one, two and four apart
  /// Squared differences of pixels at each lag.
  class Differences {
   public:
    /// Of `count` pairs of pixels a[i] and b[i] that are 2^k apart.
    void add(int k, const float* a, const float* b, int count);
    /// The mean at lag 2^(k + 1) over that at lag 2^k.
    double ratio(int k) const {
      return sum_[k] > 0 && count_[k + 1] > 0 ? sum_[k + 1] / count_[k + 1] / (sum_[k] / count_[k]) : 0;
    }

   private:
    double sum_[lags] = {}, count_[lags] = {};
  };

  double ratio(int k) const { return std::min(along_rows_.ratio(k), along_columns_.ratio(k)); }
  static constexpr int max_cells = 256;
  double& sum(int r, int k) { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }
  double sum(int r, int k) const { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }

  const SearchedImage& image_;
  int cell_, rows_, columns_;
  std::vector<double> sums_;  // [r][k]: over the cells above and left of corner (r, k)
  Differences along_rows_, along_columns_;
};

}  // namespace basin

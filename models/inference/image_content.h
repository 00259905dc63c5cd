#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "engine/plane_file.h"
#include "engine/tensor.h"
#include "models/inference/appearance.h"

// What a search for the scale has to know about an image before it runs the network.

namespace basin {

/// The image that is searched: a Source, or one that is read in parts.
struct SearchedImage {
  int height, width, channels;
  Brightness brightness;
  std::function<void(int channel, int y, float* to)> row;  // rows are read from the top down
  std::function<Tensor(const PixelRect&)> part;            // [C, height, width], where the model is
};

/// Where the image differs most from its middle value: sums over rectangles of min(|value - middle|, contrast), from
/// cells of at most 256 x 256 along the sides. Also how smooth the image is from pixel to pixel.
class ImageContent {
 public:
  explicit ImageContent(const SearchedImage&);

  /// The fullest square window of this side in another window, of whose sides it has those that are smaller.
  PixelRect fullest(int side, const PixelRect& in) const;
  PixelRect whole() const { return {0, 0, image_.height, image_.width}; }

  /// The mean squared difference of neighbours two pixels apart over that of neighbours one pixel apart, of rows and of
  /// columns, the smaller ratio: 4 where the image is smooth, about 2.5 with edges as sharp as pixels can show, and 1
  /// where each pixel has noise of its own. 0 in an image of one value, or of fewer than three pixels along a side.
  double smoothness() const { return std::min(along_rows_.ratio(), along_columns_.ratio()); }

 private:
  /// Squared differences of pixels one and two steps apart.
  class Differences {
   public:
    /// Of `count` pairs of pixels a[i] and b[i].
    void add(int steps, const float* a, const float* b, int count);
    double ratio() const { return sum_[0] > 0 && count_[1] > 0 ? sum_[1] / count_[1] / (sum_[0] / count_[0]) : 0; }

   private:
    double sum_[2] = {}, count_[2] = {};
  };

  static constexpr int max_cells = 256;
  double& sum(int r, int k) { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }
  double sum(int r, int k) const { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }

  const SearchedImage& image_;
  int cell_, rows_, columns_;
  std::vector<double> sums_;  // [r][k]: over the cells above and left of corner (r, k)
  Differences along_rows_, along_columns_;
};

}  // namespace basin

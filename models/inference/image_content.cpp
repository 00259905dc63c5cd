#include "models/inference/image_content.h"

#include <array>
#include <cmath>

namespace basin {

void ImageContent::Differences::add(int k, const float* a, const float* b, int count) {
  for (int i = 0; i < count; ++i)
    sum_[k] += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
  count_[k] += count;
}

ImageContent::ImageContent(const SearchedImage& image) : image_(image) {
  cell_ = (std::max(image.height, image.width) + max_cells - 1) / max_cells;
  rows_ = (image.height + cell_ - 1) / cell_, columns_ = (image.width + cell_ - 1) / cell_;
  sums_.assign(size_t(rows_ + 1) * size_t(columns_ + 1), 0);
  const Brightness b = image.brightness;
  std::vector<float> row(size_t(image.width));
  constexpr int kept = 1 << (lags - 1);
  std::vector<std::array<std::vector<float>, kept>> earlier(size_t(image.channels));  // the last rows
  for (int y = 0; y < image.height; ++y)
    for (int c = 0; c < image.channels; ++c) {
      image.row(c, y, row.data());
      for (int x = 0; x < image.width; ++x)
        sum(y / cell_ + 1, x / cell_ + 1) += std::min(std::abs(double(row[size_t(x)]) - b.middle), b.contrast);
      std::array<std::vector<float>, kept>& above = earlier[size_t(c)];
      for (int k = 0; k < lags; ++k) {
        const int lag = 1 << k;
        if (lag < image.width) along_rows_.add(k, row.data() + lag, row.data(), image.width - lag);
        if (lag <= y) along_columns_.add(k, row.data(), above[size_t((y - lag) % kept)].data(), image.width);
      }
      above[size_t(y % kept)] = row;
    }
  for (int r = 1; r <= rows_; ++r)
    for (int k = 1; k <= columns_; ++k)
      sum(r, k) += sum(r - 1, k) + sum(r, k - 1) - sum(r - 1, k - 1);
}

PixelRect ImageContent::fullest(int side, const PixelRect& in) const {
  PixelRect best{in.y, in.x, std::min(side, in.height), std::min(side, in.width)};
  const int rows = std::max(1, best.height / cell_), columns = std::max(1, best.width / cell_);
  const int bottom = std::min(rows_, (in.y + in.height + cell_ - 1) / cell_);
  const int right = std::min(columns_, (in.x + in.width + cell_ - 1) / cell_);
  double most = -1;
  int row = in.y / cell_, column = in.x / cell_;
  for (int r = in.y / cell_; r + rows <= bottom; ++r)
    for (int k = in.x / cell_; k + columns <= right; ++k) {
      const double inside = sum(r + rows, k + columns) - sum(r, k + columns) - sum(r + rows, k) + sum(r, k);
      if (inside > most) most = inside, row = r, column = k;
    }
  best.y = std::clamp(row * cell_, in.y, in.y + in.height - best.height);
  best.x = std::clamp(column * cell_, in.x, in.x + in.width - best.width);
  return best;
}

}  // namespace basin

#include "models/inference/large_image.h"

#include <algorithm>
#include <cstring>

#include "engine/fingerprint.h"

namespace basin {
namespace {

/// Collects every k-th pixel of every k-th row: those that brightness_of() examines in a whole image, as an image.
class Examined {
 public:
  Examined(int height, int width)
      : height_(height),
        width_(width),
        rows_(std::min(height, examined_rows)),
        columns_(std::min(width, examined_columns)) {}

  void add(const Image& band, int top) {
    if (sample_.pixels.empty()) {
      sample_.height = rows_, sample_.width = columns_, sample_.channels = band.channels, sample_.type = band.type;
      sample_.pixels.resize(size_t(rows_) * size_t(columns_) * pixel_bytes());
    }
    for (int r = 0; r < rows_; ++r) {
      const int y = int(int64_t(r) * height_ / rows_);
      if (y < top || y >= top + band.height) continue;
      for (int k = 0; k < columns_; ++k) {
        const int64_t x = int64_t(k) * width_ / columns_;
        std::memcpy(sample_.pixels.data() + size_t(r * columns_ + k) * pixel_bytes(),
                    band.pixels.data() + size_t(int64_t(y - top) * width_ + x) * pixel_bytes(), pixel_bytes());
      }
    }
  }
  Image take() { return std::move(sample_); }

 private:
  size_t pixel_bytes() const { return size_of(sample_.type) * size_t(sample_.channels); }

  int height_, width_, rows_, columns_;
  Image sample_;
};

}  // namespace

LargeImage::LargeImage(Read read, int height, int width, int channels, const Normalisation& norm,
                       const std::string& name, int64_t max_bytes)
    : read_(std::move(read)), height_(height), width_(width), channels_(channels), norm_(norm) {
  const Image first = read_({0, 0, 1, 1});
  check_channels(channels_of(first), channels, name);
  row_bytes_ = int64_t(width) * first.channels * int64_t(size_of(first.type));
  notes_ = first.notes;
  stack_ = first.stack;
  stack_.height = height, stack_.width = width;
  const int rows = rows_within(max_bytes);
  NormalisationSurvey survey(channels, norm, name);
  Examined examined(height, width);
  Fingerprint fingerprint;
  for (int pass = 0; pass < survey.passes(); ++pass) {
    for (int y = 0; y < height; y += rows) {
      const Image band = read_({y, 0, std::min(rows, height - y), width});
      survey.add(band);
      if (pass > 0) continue;
      examined.add(band, y);
      for (int row = 0; row < band.height; ++row)  // row by row, so that the size of bands does not matter
        fingerprint.add({band.pixels.data() + int64_t(row) * row_bytes_, size_t(row_bytes_)});
    }
    survey.end_pass();
  }
  affine_ = survey.result(notes_);
  fingerprint_ = fingerprint.digits();
  brightness_ = brightness_of(Source(examined.take(), channels, norm, affine_));
}

Source LargeImage::part(const PixelRect& rect) const { return Source(read_(rect), channels_, norm_, affine_); }

int LargeImage::rows_within(int64_t bytes) const {
  int64_t rows = std::max<int64_t>(1, bytes / row_bytes_);
  for (const int64_t even : {1024, 512, 256, 128, 64, 32, 16})  // so that bands end where tiles of the file end
    if (rows >= even) {
      rows = even;
      break;
    }
  return int(std::min<int64_t>(rows, height_));
}

}  // namespace basin

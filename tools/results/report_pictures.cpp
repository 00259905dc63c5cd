#include "tools/results/report_pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/metrics/assignment.h"
#include "data/report/overlay.h"
#include "tools/cli/counted.h"

namespace basin::tools {

PictureWindow::PictureWindow(int image_height, int image_width)
    : y0(std::max(0, (image_height - max_side) / 2)),
      x0(std::max(0, (image_width - max_side) / 2)),
      height(std::min(image_height, max_side)),
      width(std::min(image_width, max_side)),
      is_whole(height == image_height && width == image_width) {}

Image PictureWindow::of(const Image& image) const {
  const size_t pixel = size_t(image.channels) * size_of(image.type);
  Image part{height, width, image.channels, image.type, std::vector<std::byte>(size_t(height) * size_t(width) * pixel)};
  for (int y = 0; y < height; ++y)
    std::copy_n(image.pixels.begin() + ptrdiff_t((size_t(y0 + y) * size_t(image.width) + size_t(x0)) * pixel),
                size_t(width) * pixel, part.pixels.begin() + ptrdiff_t(size_t(y) * size_t(width) * pixel));
  return part;
}

Labels PictureWindow::of(const Labels& labels) const {
  Labels part{height, width, labels.count, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      part.ids.push_back(labels(y0 + y, x0 + x));
  return part;
}

ReportPicture objects_picture(const std::string& name, const Image& image, const Labels& labels) {
  const PictureWindow window(labels.height, labels.width);
  return {name + ", " + counted(labels.count, "object"), "", encode_png(overlay(window.of(image), window.of(labels)))};
}

ReportPicture errors_picture(const std::string& name, const Image& image, const Labels& truth,
                             const Labels& prediction) {
  MatchedObjects matched{std::vector<int32_t>(size_t(truth.count) + 1),
                         std::vector<int32_t>(size_t(prediction.count) + 1)};
  int pairs = 0;
  for (const Match& m : match(overlap(truth, prediction), 0.5)) {
    matched.truth[size_t(m.truth)] = m.prediction, matched.prediction[size_t(m.prediction)] = m.truth;
    ++pairs;
  }
  const PictureWindow window(truth.height, truth.width);
  return {fmt::format("{}: {} matched (green), {} missed (orange), {} false (purple)", name, pairs, truth.count - pairs,
                      prediction.count - pairs),
          "", encode_png(overlay_errors(window.of(image), window.of(truth), window.of(prediction), matched))};
}

}  // namespace basin::tools

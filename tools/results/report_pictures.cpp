#include "tools/results/report_pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/metrics/assignment.h"
#include "data/report/overlay.h"
#include "tools/cli/counted.h"

namespace basin::tools {
namespace {

std::string about_overlap(const Objects& objects) {
  return std::holds_alternative<Planes>(objects) ? "; pixels that objects share are drawn for the first of them" : "";
}

/// For each object of either side one that it matches, as counts() counts matches at an IoU of 0.5; 0: there is none.
MatchedObjects matched_objects(const Overlap& table) {
  MatchedObjects matched{std::vector<int32_t>(table.truth_area.size()),
                         std::vector<int32_t>(table.prediction_area.size())};
  const auto add = [&](int32_t truth, int32_t prediction) {
    matched.truth[size_t(truth)] = prediction, matched.prediction[size_t(prediction)] = truth;
  };
  if (table.from_planes) {
    for (const Overlap::Pair& pair : table.pairs)
      if (pair.iou >= 0.5) add(pair.truth, pair.prediction);
  } else {
    for (const Match& m : match(table, 0.5))
      add(m.truth, m.prediction);
  }
  return matched;
}

/// The partners of those objects that have a pixel in drawn(), [count + 1] of these. Whether there is a partner is all
/// that a picture shows.
std::vector<int32_t> of_drawn(const std::vector<int32_t>& partners, const Objects& objects) {
  const auto* planes = std::get_if<Planes>(&objects);
  const std::vector<size_t> hidden = planes ? covered(*planes) : std::vector<size_t>();
  std::vector<int32_t> some;
  for (size_t number = 0; number < partners.size(); ++number)
    if (number == 0 || !std::binary_search(hidden.begin(), hidden.end(), number - 1)) some.push_back(partners[number]);
  return some;
}

}  // namespace

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

Labels drawn(const Objects& objects) {
  if (const auto* planes = std::get_if<Planes>(&objects)) return flatten(*planes);
  return std::get<Labels>(objects);
}

std::string caption_of(const std::string& name, const Objects& objects) {
  return name + ", " + counted(count_of(objects), "object") + about_overlap(objects);
}

ReportPicture objects_picture(const std::string& name, const Image& image, const Objects& objects) {
  const Labels labels = drawn(objects);
  const PictureWindow window(labels.height, labels.width);
  return {caption_of(name, objects), "", encode_png(overlay(window.of(image), window.of(labels)))};
}

ReportPicture errors_picture(const std::string& name, const Image& image, const Truth& truth,
                             const Objects& prediction) {
  const CountedObjects kept = counted_objects(truth, prediction);
  const MatchedObjects whole = matched_objects(overlap(truth.objects, kept.objects));
  const auto unmatched = [](const std::vector<int32_t>& partners) {
    return std::count(partners.begin() + 1, partners.end(), 0);
  };
  const auto missed = unmatched(whole.truth);
  const Labels truths = drawn(truth.objects), predictions = drawn(kept.objects);
  const PictureWindow window(truths.height, truths.width);
  return {
      fmt::format("{}: {} matched (green), {} missed (orange), {} false (purple){}", name,
                  count_of(truth.objects) - missed, missed, unmatched(whole.prediction), about_overlap(truth.objects)),
      "",
      encode_png(overlay_errors(window.of(image), window.of(truths), window.of(predictions),
                                {of_drawn(whole.truth, truth.objects), of_drawn(whole.prediction, kept.objects)}))};
}

}  // namespace basin::tools

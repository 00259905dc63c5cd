#include "models/inference/agreement.h"

#include <algorithm>

#include "data/metrics/metrics.h"

namespace basin {
namespace {

/// Rows of elements in the reverse order, or the elements of each row.
template <class T>
std::vector<T> mirrored(const std::vector<T>& from, int height, int width, size_t element, bool rows) {
  std::vector<T> to;
  to.reserve(from.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const int from_y = rows ? height - 1 - y : y, from_x = rows ? x : width - 1 - x;
      const auto at = from.begin() + std::ptrdiff_t((size_t(from_y) * size_t(width) + size_t(from_x)) * element);
      to.insert(to.end(), at, at + std::ptrdiff_t(element));
    }
  return to;
}

}  // namespace

std::optional<double> mean_of_defined(const std::vector<std::optional<double>>& values) {
  double sum = 0;
  int n = 0;
  for (const std::optional<double>& v : values)
    if (v) sum += *v, ++n;
  return n > 0 ? std::optional(sum / n) : std::nullopt;
}

Agreement agreement_of(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                       const Normalisation& normalisation, const SegmentOptions& options, const Labels& labels) {
  const auto found_in = [&](const Source& view, const SegmentOptions& o) {
    return segment_source(exec, method, predictor, view, o).instances.labels;
  };
  std::vector<std::optional<double>> flips, scales;
  for (const bool rows : {false, true}) {
    if (method.averages_views()) break;  // then the maps of mirrored images agree by construction
    Image image = source.image();
    image.pixels =
        mirrored(image.pixels, image.height, image.width, size_t(image.channels) * size_of(image.type), rows);
    Labels found = found_in(Source(std::move(image), source.channels(), normalisation, "the mirrored image"), options);
    found.ids = mirrored(found.ids, found.height, found.width, 1, rows);
    flips.push_back(object_f1(score(labels, found), 0.5));
  }
  for (const double factor : {0.8, 1.25}) {
    if (method.sees_one_size()) break;  // then the scale changes nothing
    SegmentOptions scaled = options;
    scaled.scale *= factor;
    scales.push_back(object_f1(score(labels, found_in(source, scaled)), 0.5));
  }
  return {mean_of_defined(flips), mean_of_defined(scales)};
}

}  // namespace basin

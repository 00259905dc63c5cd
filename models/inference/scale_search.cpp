#include "models/inference/scale_search.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "data/metrics/metrics.h"
#include "models/inference/image_content.h"

namespace basin {
namespace {

/// The scales that are tried besides 1; those of the second list only if none of the first is trusted enough.
const std::vector<double> other_scales[] = {{0.5, 2, 0.25}, {4, 0.125}};
constexpr double neighbour = 1.26;          // ratio of scales at which the same objects should be found
constexpr int min_side = 80;                // of the part of the image that is segmented, as the network sees it, px
constexpr double diameters_a_side = 4.5;    // side of that part, in median diameters of the training objects
constexpr double max_share = 0.04;          // area of that part over that of the image, unless min_side needs more
constexpr int64_t small_image = 400 * 400;  // px; parts of such images are tiny at scales above `enlarged`
constexpr double enlarged = 1.5;
constexpr size_t min_whole = 3;              // such a part with fewer whole objects is looked at twice as large
constexpr double spread = 0.7;               // standard deviation of the logarithm of diameters in fit()
constexpr double min_trust = 0.25;           // scales with less trust are not chosen
constexpr double enough_native_trust = 0.4;  // if scale 1 is trusted this much, no others are tried
constexpr double enough_trust = 0.6;         // if any other scale is trusted this much, no others are tried
constexpr double max_ratio = 8;              // largest ratio of two scales whose objects are compared
constexpr int max_compared = 2;              // how many scales of each list are compared with another scale
/// Images at least this smooth have been enlarged, or are sampled more finely than their detail needs.
constexpr double min_smoothness = 3;
constexpr double reduced = 0.95;       // the median diameter in such an image is reduced to this times the training's
constexpr double min_structure = 1.1;  // images less smooth than this are noise that differs from pixel to pixel

/// The objects of a part of an image as the network sees it at a scale.
struct Look {
  double scale = 1;
  PixelRect window;
  Labels labels;
  std::vector<double> diameters;  // of objects that the window does not cut, sorted
  bool empty() const { return diameters.empty(); }
  bool cuts() const { return diameters.size() < size_t(labels.count); }
  double median() const { return diameters[diameters.size() / 2]; }
};

std::vector<double> whole_diameters(const Labels& labels) {
  std::vector<int64_t> areas = areas_of(labels);
  for (int y = 0; y < labels.height; ++y)
    areas[size_t(labels(y, 0))] = areas[size_t(labels(y, labels.width - 1))] = 0;
  for (int x = 0; x < labels.width; ++x)
    areas[size_t(labels(0, x))] = areas[size_t(labels(labels.height - 1, x))] = 0;
  std::vector<double> all = diameters_of(areas);
  std::sort(all.begin(), all.end());
  return all;
}

/// The labels of a look within a smaller window.
Labels labels_in(const Look& look, const PixelRect& w) {
  const auto at = [&](int offset, int from, int to) { return int(int64_t(offset) * to / from); };
  const int y0 = at(w.y - look.window.y, look.window.height, look.labels.height);
  const int x0 = at(w.x - look.window.x, look.window.width, look.labels.width);
  const int height = std::max(1, at(w.height, look.window.height, look.labels.height));
  const int width = std::max(1, at(w.width, look.window.width, look.labels.width));
  std::vector<int64_t> ids;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      ids.push_back(look.labels(y0 + y, x0 + x));
  return compact(height, width, std::move(ids));
}

/// The F1 score of the objects of two looks within the window of the second, which is a part of the first's.
double agreement(const Look& a, const Look& b) {
  const Labels of_a = labels_in(a, b.window);
  return object_f1(score(of_a, resized(b.labels, of_a.height, of_a.width)), 0.5).value_or(0);
}

class Search {
 public:
  Search(const Exec& exec, const Method& method, const Predictor& predictor, const SearchedImage& image,
         const Appearance& trained)
      : exec_(exec),
        method_(method),
        predictor_(predictor),
        image_(image),
        trained_(trained),
        content_(image),
        side_(side_of_parts()) {}

  FoundScale run() {
    std::vector<Look> looks{look(1)};
    const FoundScale native{1, fits(looks[0]) ? looks[0].median() : 0};
    Trust best;
    if (fits(looks[0])) {
      best.value = trust(looks[0]).value;
      if (best.value >= enough_native_trust) return native;
      looks.clear();
    }
    const double to_beat = std::max(best.value, min_trust);
    for (const std::vector<double>& scales : other_scales) {
      for (const double scale : scales)
        if (scale < 1 || !is_noise()) looks.push_back(look(scale));
      std::erase_if(looks, [&](const Look& l) { return l.empty() || fit(l) < min_trust; });
      std::stable_sort(looks.begin(), looks.end(), [&](const Look& a, const Look& b) { return fit(a) > fit(b); });
      for (int k = 0; k < max_compared && !looks.empty() && best.value < enough_trust; ++k) {
        if (const Trust t = trust(looks.front()); t.value > best.value) best = t;
        looks.erase(looks.begin());
      }
      if (best.value >= enough_trust) break;
    }
    if (best.value <= to_beat) return native;
    if (in_band(best.diameter)) return {1, best.diameter};
    return {scale_for(best.diameter), best.diameter};
  }

 private:
  struct Trust {
    double value = 0;     // 0 to 1
    double diameter = 0;  // in pixels of the image
  };

  int side_of_parts() const {
    const double most = std::sqrt(max_share * image_.height * image_.width);
    const double side = std::min(diameters_a_side * trained_.diameter, std::max(most, double(min_side)));
    return (std::max(int(side), min_side) + 15) / 16 * 16;
  }

  Look look(double scale) const { return look(scale, content_.whole()); }
  Look look(double scale, const PixelRect& in) const {
    const Look l = look(scale, in, side_);
    return shows_too_little(l, in) ? look(scale, in, 2 * side_) : l;
  }
  /// Whether a part of `in` cuts so many of its objects that a larger part is needed. In a large image, where that
  /// would take long, another scale will do.
  bool shows_too_little(const Look& l, const PixelRect& in) const {
    if (!l.cuts() || l.window.pixels() == in.pixels()) return false;
    const int64_t pixels = int64_t(image_.height) * image_.width;
    if (l.scale > enlarged && pixels <= small_image) return l.diameters.size() < min_whole;
    return l.empty() && in.pixels() < pixels;
  }
  Look look(double scale, const PixelRect& in, int side) const {
    const PixelRect w = content_.fullest(std::max(1, int(std::lround(side / scale))), in);
    Look l{scale, w, {}, {}};
    l.labels = labels_of(at_scale(exec_, image_.part(w), scale));
    l.diameters = whole_diameters(l.labels);
    return l;
  }

  Labels labels_of(const Tensor& image) const {
    Maps maps = predictor_.predict(exec_, image, {});
    maps.height = image.dim(1), maps.width = image.dim(2);
    return decode_to_size(exec_, method_, std::move(maps)).labels;
  }

  /// 1 if the median diameter equals that of the training objects, and smaller the more they differ.
  double fit(const Look& l) const {
    const double off = std::log(l.median() / trained_.diameter) / spread;
    return std::exp(-off * off / 2);
  }
  bool in_band(double diameter) const {
    const double ratio = diameter / trained_.diameter;
    const double least = std::min(std::pow(smallest(), 2. / 3), 1 / neighbour);
    return ratio >= least && ratio <= (is_smooth() ? reduced : std::max(largest(), neighbour));
  }
  bool is_noise() const { return content_.smoothness() < min_structure; }
  bool is_smooth() const { return content_.smoothness_at_half_size() >= min_smoothness; }
  /// Percentiles 5 and 95 of the diameters of the training objects, over their median.
  double smallest() const { return trained_.small_diameter > 0 ? trained_.small_diameter / trained_.diameter : 1; }
  double largest() const { return trained_.large_diameter > 0 ? trained_.large_diameter / trained_.diameter : 1; }

  double scale_for(double diameter) const {
    const double ratio = diameter / trained_.diameter;
    if (ratio < 1 && is_noise()) return 1;
    if (ratio > reduced && is_smooth()) return rounded(reduced / ratio);
    const double seen =
        std::clamp(std::sqrt(ratio), std::min(smallest(), 1 / neighbour), std::max(largest(), neighbour));
    return rounded(seen / ratio);
  }
  bool fits(const Look& l) const { return !l.empty() && in_band(l.median() / l.scale); }

  /// How reliable the median diameter of a look is: the agreement of its objects with those of another look at a part
  /// of its window, at the scale that follows from that diameter, or, if this is nearly the same, at a neighbouring
  /// scale.
  Trust trust(const Look& l) const {
    const double wanted = l.scale * std::clamp(trained_.diameter / l.median(), 1 / max_ratio, max_ratio);
    const bool far = std::abs(std::log(wanted / l.scale)) > std::log(neighbour) * 0.75;
    const Look other = look(far ? wanted : l.scale / neighbour, l.window);
    if (other.empty()) return {};
    const Look& better = fit(other) > fit(l) ? other : l;
    return {agreement(l, other) * fit(better), better.median() / better.scale};
  }

  static double rounded(double scale) {
    const double units = std::pow(10, 2 - std::floor(std::log10(scale)));
    return std::round(scale * units) / units;
  }

  const Exec& exec_;
  const Method& method_;
  const Predictor& predictor_;
  const SearchedImage& image_;
  const Appearance& trained_;
  ImageContent content_;
  int side_;
};

}  // namespace

FoundScale find_scale(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                      const Appearance& trained) {
  BASIN_CHECK(trained.diameter > 0, "a median diameter of ", trained.diameter);
  const SearchedImage image{source.height(),
                            source.width(),
                            source.channels(),
                            brightness_of(source),
                            [&](int c, int y, float* to) { source.row(c, y, 0, source.width(), to); },
                            [&](const PixelRect& w) { return part_of(exec, source, w.y, w.x, w.height, w.width); }};
  return Search(exec, method, predictor, image, trained).run();
}

FoundScale find_scale(const Exec& exec, const Method& method, const Predictor& predictor, const LargeImage& large,
                      const Appearance& trained, int64_t max_bytes) {
  BASIN_CHECK(trained.diameter > 0, "a median diameter of ", trained.diameter);
  std::optional<Source> band;
  const int rows = large.rows_within(max_bytes);
  int held = -1;
  const auto row = [&](int c, int y, float* to) {
    if (y / rows != held) {
      held = y / rows;
      band.reset();
      band.emplace(large.part({held * rows, 0, std::min(rows, large.height() - held * rows), large.width()}));
    }
    band->row(c, y % rows, 0, large.width(), to);
  };
  const auto part = [&](const PixelRect& w) { return part_of(exec, large.part(w), 0, 0, w.height, w.width); };
  const SearchedImage image{large.height(), large.width(), large.channels(), large.brightness(), row, part};
  return Search(exec, method, predictor, image, trained).run();
}

}  // namespace basin

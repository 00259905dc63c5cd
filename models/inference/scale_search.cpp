#include "models/inference/scale_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <optional>

#include "data/metrics/metrics.h"

namespace basin {
namespace {

/// Scales that are looked at beside 1, the second list where nothing of the first is trusted enough.
const std::vector<double> other_scales[] = {{0.5, 2, 0.25}, {4, 0.125}};
constexpr double neighbour = 1.26;        // ratio of scales at which the same objects should be found
constexpr int min_side = 80;              // of a part of the image as the network sees it, in pixels
constexpr double diameters_a_side = 4.5;  // of typical objects that fit into it
constexpr double max_share = 0.04;        // of the pixels of the image in it, where it is larger than min_side
constexpr double spread = 0.7;            // of the logarithm of diameters that still fit
constexpr double min_trust = 0.25;        // of a scale that is chosen
constexpr double enough_trust = 0.6;      // of one that makes others needless
constexpr double max_ratio = 8;           // of two scales at which the objects found are compared
constexpr int max_compared = 2;           // scales of each list whose objects are compared with another scale's
constexpr double min_smoothness = 3;      // of an image that loses little detail when it is reduced

struct Window {
  int y = 0, x = 0, height = 0, width = 0;  // in pixels of the image
};

/// The image that is searched: a Source, or one that is read in parts.
struct Searched {
  int height, width, channels;
  Brightness brightness;
  std::function<void(int channel, int y, float* to)> row;  // rows are read from the top down
  std::function<Tensor(const Window&)> part;               // [C, height, width], where the model is
};

/// Squared differences of pixels one and two steps apart.
class Differences {
 public:
  void add(int steps, const float* a, const float* b, int count) {
    for (int i = 0; i < count; ++i)
      sum_[steps - 1] += (double(a[i]) - double(b[i])) * (double(a[i]) - double(b[i]));
    if (count > 0) count_[steps - 1] += count;
  }
  double ratio() const { return sum_[0] > 0 && count_[1] > 0 ? sum_[1] / count_[1] / (sum_[0] / count_[0]) : 0; }

 private:
  double sum_[2] = {}, count_[2] = {};
};

/// Where the image differs most from its middle value: sums over rectangles of min(|value - middle|, contrast), from
/// cells of at most 256 x 256 along the sides. Also how smooth the image is from pixel to pixel.
class Content {
 public:
  explicit Content(const Searched& image) : image_(image) {
    cell_ = (std::max(image.height, image.width) + max_cells - 1) / max_cells;
    rows_ = (image.height + cell_ - 1) / cell_, columns_ = (image.width + cell_ - 1) / cell_;
    sums_.assign(size_t(rows_ + 1) * size_t(columns_ + 1), 0);
    const Brightness b = image.brightness;
    std::vector<float> row(size_t(image.width));
    std::vector<std::array<std::vector<float>, 2>> earlier(size_t(image.channels));  // the last two rows
    for (int y = 0; y < image.height; ++y)
      for (int c = 0; c < image.channels; ++c) {
        image.row(c, y, row.data());
        for (int x = 0; x < image.width; ++x)
          sum(y / cell_ + 1, x / cell_ + 1) += std::min(std::abs(double(row[size_t(x)]) - b.middle), b.contrast);
        for (int d = 1; d <= 2; ++d)
          along_rows_.add(d, row.data() + d, row.data(), image.width - d);
        std::array<std::vector<float>, 2>& above = earlier[size_t(c)];
        for (int d = 1; d <= std::min(y, 2); ++d)
          along_columns_.add(d, row.data(), above[size_t((y - d) % 2)].data(), image.width);
        above[size_t(y % 2)] = row;
      }
    for (int r = 1; r <= rows_; ++r)
      for (int k = 1; k <= columns_; ++k)
        sum(r, k) += sum(r - 1, k) + sum(r, k - 1) - sum(r - 1, k - 1);
  }

  /// The fullest square window of this side in another window, of whose sides it has those that are smaller.
  Window fullest(int side, const Window& in) const {
    Window best{in.y, in.x, std::min(side, in.height), std::min(side, in.width)};
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
  Window whole() const { return {0, 0, image_.height, image_.width}; }

  /// The mean squared difference of neighbours two pixels apart over that of neighbours one pixel apart, of rows and of
  /// columns, the smaller ratio: 4 where the image is smooth, about 2.5 with edges as sharp as pixels can show, and 1
  /// where each pixel has noise of its own. 0 in an image of one value, or of fewer than three pixels along a side.
  double smoothness() const { return std::min(along_rows_.ratio(), along_columns_.ratio()); }

 private:
  static constexpr int max_cells = 256;
  double& sum(int r, int k) { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }
  double sum(int r, int k) const { return sums_[size_t(r) * size_t(columns_ + 1) + size_t(k)]; }

  const Searched& image_;
  int cell_, rows_, columns_;
  std::vector<double> sums_;  // [r][k]: over the cells above and left of corner (r, k)
  Differences along_rows_, along_columns_;
};

/// The objects of a part of an image as the network sees it at a scale.
struct Look {
  double scale = 1;
  Window window;
  Labels labels;
  std::vector<double> diameters;  // of objects that the window does not cut, sorted
  bool empty() const { return diameters.empty(); }
  double median() const { return diameters[diameters.size() / 2]; }
};

std::vector<double> whole_diameters(const Labels& labels) {
  std::vector<int64_t> areas(size_t(labels.count) + 1);
  for (const int32_t id : labels.ids)
    ++areas[size_t(id)];
  areas[0] = 0;
  for (int y = 0; y < labels.height; ++y)
    areas[size_t(labels(y, 0))] = areas[size_t(labels(y, labels.width - 1))] = 0;
  for (int x = 0; x < labels.width; ++x)
    areas[size_t(labels(0, x))] = areas[size_t(labels(labels.height - 1, x))] = 0;
  std::vector<double> all = diameters_of(areas);
  std::sort(all.begin(), all.end());
  return all;
}

/// The labels of a look in a window that lies in its own.
Labels labels_in(const Look& look, const Window& w) {
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

/// The share of objects that are found in both of two looks, the second of which is at a part of the first.
double agreement(const Look& a, const Look& b) {
  const Labels of_a = labels_in(a, b.window);
  return object_f1(score(of_a, resized(b.labels, of_a.height, of_a.width)), 0.5).value_or(0);
}

class Search {
 public:
  Search(const Exec& exec, const Method& method, const Predictor& predictor, const Searched& image,
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
    if (fits(looks[0]) && trust(looks[0]).value > min_trust) return native;
    Trust best;
    for (const std::vector<double>& scales : other_scales) {
      for (const double scale : scales)
        looks.push_back(look(scale));
      std::erase_if(looks, [&](const Look& l) { return l.empty() || fit(l) < min_trust; });
      std::stable_sort(looks.begin(), looks.end(), [&](const Look& a, const Look& b) { return fit(a) > fit(b); });
      for (int k = 0; k < max_compared && !looks.empty() && best.value < enough_trust; ++k) {
        if (const Trust t = trust(looks.front()); t.value > best.value) best = t;
        looks.erase(looks.begin());
      }
      if (best.value >= enough_trust) break;
    }
    if (best.value <= min_trust) return native;
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
  Look look(double scale, const Window& in) const {
    const Window w = content_.fullest(std::max(1, int(std::lround(side_ / scale))), in);
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

  /// 1 where the median diameter is that of the training, less the further it is from that.
  double fit(const Look& l) const {
    const double off = std::log(l.median() / trained_.diameter) / spread;
    return std::exp(-off * off / 2);
  }
  bool in_band(double diameter) const {
    const double ratio = diameter / trained_.diameter;
    const auto bound = [](double end) { return std::pow(end, 2. / 3); };
    const double most = is_smooth() ? neighbour : std::max(bound(largest()), neighbour);
    return ratio >= std::min(bound(smallest()), 1 / neighbour) && ratio <= most;
  }
  bool is_smooth() const { return content_.smoothness() >= min_smoothness; }
  /// The ends of the training's range, over its median.
  double smallest() const { return trained_.small_diameter > 0 ? trained_.small_diameter / trained_.diameter : 1; }
  double largest() const { return trained_.large_diameter > 0 ? trained_.large_diameter / trained_.diameter : 1; }

  double scale_for(double diameter) const {
    const double ratio = diameter / trained_.diameter;
    if (ratio > 1 && is_smooth()) return rounded(1 / ratio);
    const double seen =
        std::clamp(std::sqrt(ratio), std::min(smallest(), 1 / neighbour), std::max(largest(), neighbour));
    return rounded(seen / ratio);
  }
  bool fits(const Look& l) const { return !l.empty() && in_band(l.median() / l.scale); }

  /// How far the diameter that a look found is to be believed: compared with another look at a part of its window, at
  /// the scale that follows from that diameter, or where this is nearly the look's own at one beside it.
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
  const Searched& image_;
  const Appearance& trained_;
  Content content_;
  int side_;
};

}  // namespace

FoundScale find_scale(const Exec& exec, const Method& method, const Predictor& predictor, const Source& source,
                      const Appearance& trained) {
  BASIN_CHECK(trained.diameter > 0, "a median diameter of ", trained.diameter);
  const Searched image{source.height(),
                       source.width(),
                       source.channels(),
                       brightness_of(source),
                       [&](int c, int y, float* to) { source.row(c, y, 0, source.width(), to); },
                       [&](const Window& w) { return part_of(exec, source, w.y, w.x, w.height, w.width); }};
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
  const auto part = [&](const Window& w) {
    return part_of(exec, large.part({w.y, w.x, w.height, w.width}), 0, 0, w.height, w.width);
  };
  const Searched image{large.height(), large.width(), large.channels(), large.brightness(), row, part};
  return Search(exec, method, predictor, image, trained).run();
}

}  // namespace basin

#include "data/objects/measure.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <numbers>

#include "kernels/image/runs.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// Pixels x0 to x1 - 1 of row y.
struct Run {
  int32_t y, x0, x1;
};

/// The runs of all objects, those of object k from first[k - 1] to first[k], in raster order.
struct Runs {
  std::vector<size_t> first;
  std::vector<Run> all;

  std::span<const Run> of(size_t object) const {
    return {all.data() + first[object], first[object + 1] - first[object]};
  }
};

Runs runs_of(const Labels& labels) {
  std::vector<std::pair<int32_t, Run>> found;
  Runs runs{std::vector<size_t>(size_t(labels.count) + 2), {}};
  const size_t width = size_t(labels.width);
  for (int y = 0; y < labels.height; ++y)
    for_each_run(labels.ids.data() + size_t(y) * width, width, [&](size_t x0, size_t x1, int32_t id) {
      if (id <= 0) return;
      BASIN_CHECK(id <= labels.count, "label ", id, " of ", labels.count);
      found.push_back({id, {y, int32_t(x0), int32_t(x1)}});
      ++runs.first[size_t(id) + 1];
    });
  for (size_t k = 1; k < runs.first.size(); ++k)
    runs.first[k] += runs.first[k - 1];
  runs.all.resize(found.size());
  for (const auto& [id, run] : found)
    runs.all[runs.first[size_t(id)]++] = run;  // afterwards first[id] is the end of object id
  return runs;
}

int64_t floor_divided(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/// The number of pixels whose centres lie in the convex hull of the middles of the pixels' sides. Coordinates are
/// doubled: pixel (y, x) of the bounding box has its centre at (2y + 1, 2x + 1), and all corners of the hull are whole.
class Hull {
 public:
  int64_t area(std::span<const Run> runs, const ObjectShape& s) {
    const size_t rows = 2 * size_t(s.y1 - s.y0) + 1;
    left_.assign(rows, INT64_MAX), right_.assign(rows, INT64_MIN);
    const auto add = [&](size_t y, int64_t l, int64_t r) {
      left_[y] = std::min(left_[y], l), right_[y] = std::max(right_[y], r);
    };
    for (const Run& run : runs) {
      const size_t y = 2 * size_t(run.y - s.y0) + 1;
      const int64_t l = 2 * int64_t(run.x0 - s.x0), r = 2 * int64_t(run.x1 - s.x0);
      add(y, l, r), add(y - 1, l + 1, r - 1), add(y + 1, l + 1, r - 1);
    }
    for (int64_t& r : right_)
      r = r == INT64_MIN ? INT64_MAX : -r;  // mirrored: both sides are then convex in the same sense
    side(left_), side(right_);
    int64_t pixels = 0;
    for (size_t y = 1; y < rows; y += 2)
      pixels += std::max<int64_t>(0, last_[y / 2] - first_[y / 2] + 1);
    return pixels;
  }

 private:
  struct Vertex {
    int64_t y, x;
  };

  /// The smallest x of the hull of points (y, x[y]); sets the first (for right_: the last) pixel of each row.
  void side(const std::vector<int64_t>& x) {
    chain_.clear();
    for (size_t i = 0; i < x.size(); ++i) {
      if (x[i] == INT64_MAX) continue;
      const Vertex v{int64_t(i), x[i]};
      while (chain_.size() >= 2) {
        const Vertex a = chain_[chain_.size() - 2], b = chain_.back();
        if (__int128(b.x - a.x) * (v.y - a.y) < __int128(v.x - a.x) * (b.y - a.y)) break;
        chain_.pop_back();
      }
      chain_.push_back(v);
    }
    std::vector<int64_t>& to = &x == &left_ ? first_ : last_;
    to.assign(x.size() / 2, 0);
    size_t k = 0;
    for (size_t y = 1; y < x.size(); y += 2) {
      while (k + 2 < chain_.size() && chain_[k + 1].y < int64_t(y))
        ++k;
      const Vertex a = chain_[k], b = chain_[k + 1];
      const int64_t d = b.y - a.y, at = a.x * d + (b.x - a.x) * (int64_t(y) - a.y);  // d times the hull's x
      // The least pixel x with 2x + 1 >= at / d, or the greatest with 2x + 1 <= -at / d.
      to[y / 2] = &x == &left_ ? -floor_divided(d - at, 2 * d) : floor_divided(-at - d, 2 * d);
    }
  }

  std::vector<int64_t> left_, right_, first_, last_;
  std::vector<Vertex> chain_;
};

/// The border of an object: which pixels belong to it, and how long it is.
struct Border {
  const Labels& labels;
  int32_t id;

  bool inside(int y, int x) const {
    return y >= 0 && x >= 0 && y < labels.height && x < labels.width && labels(y, x) == id;
  }
  bool on_border(int y, int x) const {
    return inside(y, x) && !(inside(y - 1, x) && inside(y + 1, x) && inside(y, x - 1) && inside(y, x + 1));
  }
  double perimeter(std::span<const Run> runs) const {
    int64_t straight = 0, diagonal = 0, mixed = 0;
    for (const Run& run : runs)
      for (int x = run.x0; x < run.x1; ++x) {
        if (!on_border(run.y, x)) continue;
        const int beside =
            on_border(run.y - 1, x) + on_border(run.y + 1, x) + on_border(run.y, x - 1) + on_border(run.y, x + 1);
        const int across = on_border(run.y - 1, x - 1) + on_border(run.y - 1, x + 1) + on_border(run.y + 1, x - 1) +
                           on_border(run.y + 1, x + 1);
        straight += beside >= 2 && beside <= 3 && across <= 2;
        diagonal += across == beside + 2 && beside <= 1;
        mixed += beside == 1 && across >= 1 && across <= 2;
      }
    constexpr double root = std::numbers::sqrt2;
    return double(straight) + double(diagonal) * root + double(mixed) * (1 + root) / 2;
  }
};

/// Where the border of an object lies, and whether a field points inwards there.
class BorderFlow {
 public:
  BorderFlow(const Labels& labels, const ImagePart& part, std::span<const float> field)
      : labels_(labels), part_(part), field_(field) {}

  double mean(int32_t id, std::span<const Run> runs) const {
    const size_t width = size_t(labels_.width), plane = labels_.ids.size();
    double sum = 0;
    int64_t pixels = 0;
    for (const Run& run : runs)
      for (int x = run.x0; x < run.x1; ++x) {
        const auto [inward_y, inward_x] = normal(id, run.y, x);
        if (inward_y == 0 && inward_x == 0) continue;
        const size_t i = size_t(run.y) * width + size_t(x);
        sum += (double(field_[i]) * inward_x + double(field_[plane + i]) * inward_y) / std::hypot(inward_y, inward_x);
        ++pixels;
      }
    return pixels > 0 ? sum / double(pixels) : 0;
  }

 private:
  static constexpr int reach = 2;  // px

  /// A vector away from the pixels of others around a pixel of the object; 0 if there are none, or on all sides alike.
  std::pair<int, int> normal(int32_t id, int y, int x) const {
    int inward_y = 0, inward_x = 0;
    for (int dy = -reach; dy <= reach; ++dy)
      for (int dx = -reach; dx <= reach; ++dx)
        if (dy * dy + dx * dx <= reach * reach && is_other(id, y + dy, x + dx)) inward_y -= dy, inward_x -= dx;
    return {inward_y, inward_x};
  }
  bool is_other(int32_t id, int y, int x) const {
    if (y >= 0 && x >= 0 && y < labels_.height && x < labels_.width) return labels_(y, x) != id;
    y += part_.y, x += part_.x;
    return y >= 0 && x >= 0 && y < part_.height && x < part_.width;
  }

  const Labels& labels_;
  const ImagePart& part_;
  std::span<const float> field_;
};

/// Area, bounding box, centroid in the bounding box, and the axes of the ellipse with the same moments.
ObjectShape shape_of(std::span<const Run> runs) {
  ObjectShape s{.y0 = INT_MAX, .x0 = INT_MAX, .y1 = 0, .x1 = 0};
  for (const Run& run : runs) {
    s.y0 = std::min(s.y0, run.y), s.y1 = std::max(s.y1, run.y + 1);
    s.x0 = std::min(s.x0, run.x0), s.x1 = std::max(s.x1, run.x1);
  }
  if (runs.empty()) return {};
  using Wide = __int128;
  Wide n = 0, sy = 0, sx = 0, syy = 0, sxx = 0, sxy = 0;  // exact: coordinates within the bounding box
  const auto squares = [](Wide m) { return m * (m - 1) * (2 * m - 1) / 6; };  // 0^2 + ... + (m - 1)^2
  for (const Run& run : runs) {
    const Wide a = run.x0 - s.x0, b = run.x1 - s.x0, y = run.y - s.y0, sum = (b * (b - 1) - a * (a - 1)) / 2;
    n += b - a, sx += sum, sxx += squares(b) - squares(a);
    sy += y * (b - a), syy += y * y * (b - a), sxy += y * sum;
  }
  const double area = double(n);
  s.area = int64_t(n);
  s.centroid_y = double(sy) / area, s.centroid_x = double(sx) / area;
  const double yy = double(n * syy - sy * sy) / area / area, xx = double(n * sxx - sx * sx) / area / area,
               xy = double(n * sxy - sy * sx) / area / area;
  const double middle = (yy + xx) / 2, half = std::hypot((yy - xx) / 2, xy);
  const double large = middle + half, small = std::max(0.0, middle - half);
  s.major_axis = 4 * std::sqrt(large), s.minor_axis = 4 * std::sqrt(small);
  s.eccentricity = large > 0 ? std::sqrt(1 - small / large) : 0;
  s.orientation = yy == xx ? (xy > 0 ? 1 : -1) * std::numbers::pi / 4 : 0.5 * std::atan2(2 * xy, yy - xx);
  return s;
}

/// Moves a shape of shape_of() from the part of an image that was measured to its place in the image.
void place(ObjectShape& s, const ImagePart& part) {
  s.y0 += part.y, s.y1 += part.y, s.x0 += part.x, s.x1 += part.x;
  s.centroid_y += s.y0, s.centroid_x += s.x0;
  s.touches_edge = s.y0 == 0 || s.x0 == 0 || s.y1 == part.height || s.x1 == part.width;
}

/// Adds up values relative to the first one, so that the spread of large values keeps its digits.
class Sums {
 public:
  void add(double v) {
    if (n_++ == 0) origin_ = min_ = max_ = v;
    sum_ += v - origin_, squares_ += (v - origin_) * (v - origin_);
    min_ = std::min(min_, v), max_ = std::max(max_, v);
  }
  ObjectValues values() const {
    if (n_ == 0) return {};
    const double mean = sum_ / double(n_);
    return {origin_ + mean, std::sqrt(std::max(0.0, squares_ / double(n_) - mean * mean)), min_, max_};
  }

 private:
  int64_t n_ = 0;
  double origin_ = 0, sum_ = 0, squares_ = 0, min_ = 0, max_ = 0;
};

/// f(i) is the value of pixel i.
template <class F>
ObjectValues values_in(std::span<const Run> runs, int width, const F& f) {
  Sums sums;
  for (const Run& run : runs) {
    const size_t row = size_t(run.y) * size_t(width);
    for (size_t i = row + size_t(run.x0); i < row + size_t(run.x1); ++i)
      sums.add(double(f(i)));
  }
  return sums.values();
}

}  // namespace

Measurements measure(const Labels& labels, const PixelValues& known, const ImagePart& part) {
  const Image* const image = known.image;
  const std::span<const float> foreground = known.foreground, field = known.field;
  const ImagePart of = part.height > 0 ? part : ImagePart{0, 0, labels.height, labels.width};
  BASIN_CHECK(!image || (image->height == labels.height && image->width == labels.width), "image ", image->width, " x ",
              image->height, ", labels ", labels.width, " x ", labels.height);
  BASIN_CHECK(foreground.empty() || foreground.size() == labels.ids.size(), foreground.size(), " probabilities");
  BASIN_CHECK(field.empty() || field.size() == 2 * labels.ids.size(), field.size(), " components of a field");
  const Runs runs = runs_of(labels);
  const size_t count = size_t(labels.count), channels = image ? size_t(image->channels) : 0;
  Measurements m;
  m.shapes.resize(count);
  m.channels = int(channels);
  m.values.resize(count * channels);
  if (!foreground.empty()) m.foreground.emplace(count);
  if (!field.empty()) m.border_flow.emplace(count);
#pragma omp parallel
  {
    Hull hull;
#pragma omp for schedule(dynamic, 64)
    for (size_t k = 0; k < count; ++k) {
      const std::span<const Run> own = runs.of(k);
      ObjectShape& s = m.shapes[k] = shape_of(own);
      if (own.empty()) continue;
      s.perimeter = Border{labels, int32_t(k) + 1}.perimeter(own);
      s.solidity = double(s.area) / double(hull.area(own, s));
      place(s, of);
      if (image)
        with_pixels(image->type, [&](auto zero) {
          for (size_t c = 0; c < channels; ++c)
            m.values[k * channels + c] =
                values_in(own, labels.width,
                          [at = image->as<decltype(zero)>() + c, channels](size_t i) { return at[i * channels]; });
        });
      if (!foreground.empty())
        (*m.foreground)[k] = values_in(own, labels.width, [&](size_t i) { return foreground[i]; }).mean;
      if (!field.empty()) (*m.border_flow)[k] = BorderFlow(labels, of, field).mean(int32_t(k) + 1, own);
    }
  }
  return m;
}

std::vector<float> scores_of(const Measurements& m) {
  const std::optional<std::vector<double>>& known = m.border_flow ? m.border_flow : m.foreground;
  return known ? std::vector<float>(known->begin(), known->end()) : std::vector<float>();
}

ObjectTable table_of(const Measurements& m, const std::optional<std::vector<float>>& scores, double pixel_size,
                     int64_t first) {
  BASIN_CHECK(!scores || scores->size() == m.shapes.size(), scores->size(), " scores of ", m.shapes.size());
  ObjectTable table;
  const size_t channels = size_t(m.channels);
  const auto build = [&](const auto& add, size_t k, const ObjectShape& s) {
    add("label", double(first + int64_t(k)));
    add("centroid_y", s.centroid_y), add("centroid_x", s.centroid_x);
    add("area", double(s.area)), add("perimeter", s.perimeter);
    add("bbox_y0", s.y0), add("bbox_x0", s.x0), add("bbox_y1", s.y1), add("bbox_x1", s.x1);
    add("axis_major_length", s.major_axis), add("axis_minor_length", s.minor_axis);
    add("orientation", s.orientation), add("eccentricity", s.eccentricity), add("solidity", s.solidity);
    add("touches_edge", s.touches_edge);
    for (size_t c = 0; c < channels; ++c) {
      const ObjectValues v = k < m.shapes.size() ? m.values[k * channels + c] : ObjectValues{};
      const std::string which = channels > 1 ? fmt::format("_{}", c) : "";
      add("intensity_mean" + which, v.mean), add("intensity_min" + which, v.min);
      add("intensity_max" + which, v.max), add("intensity_std" + which, v.std);
    }
    const auto add_known = [&](const char* name, const auto& of_objects) {
      if (of_objects) add(name, k < of_objects->size() ? double((*of_objects)[k]) : 0);
    };
    add_known("foreground_mean", m.foreground), add_known("border_flow", m.border_flow), add_known("score", scores);
    if (pixel_size <= 0) return;
    add("centroid_y_um", s.centroid_y * pixel_size), add("centroid_x_um", s.centroid_x * pixel_size);
    add("area_um2", double(s.area) * pixel_size * pixel_size), add("perimeter_um", s.perimeter * pixel_size);
    add("axis_major_length_um", s.major_axis * pixel_size), add("axis_minor_length_um", s.minor_axis * pixel_size);
  };
  build([&](const std::string& name, double) { table.names.push_back(name); }, m.shapes.size(), ObjectShape{});
  table.numbers.reserve(table.names.size() * m.shapes.size());
  for (size_t k = 0; k < m.shapes.size(); ++k)
    build([&](const auto&, double number) { table.numbers.push_back(number); }, k, m.shapes[k]);
  return table;
}

}  // namespace basin

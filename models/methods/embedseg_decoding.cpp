#include "models/methods/embedseg_decoding.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/ops/instance.h"
#include "kernels/embedding/instance_loss.h"
#include "kernels/embedding/smooth_embedding.h"
#include "kernels/image/components.h"
#include "kernels/runtime/elementary.h"
#include "models/methods/method_support.h"

namespace basin {
namespace {

/// The foreground pixels, indexed by the points that they point to: a square grid over these points, whose cells list
/// their pixels in raster order.
class PointedAt {
 public:
  static constexpr float cell = 8;  // px

  PointedAt(std::vector<float> x, std::vector<float> y, std::vector<int32_t> pixels)  // x, y in px
      : x_(std::move(x)), y_(std::move(y)) {
    for (size_t j = 0; j < pixels.size(); ++j) {
      x0_ = j == 0 ? x_[j] : std::min(x0_, x_[j]), y0_ = j == 0 ? y_[j] : std::min(y0_, y_[j]);
      x1_ = j == 0 ? x_[j] : std::max(x1_, x_[j]), y1_ = j == 0 ? y_[j] : std::max(y1_, y_[j]);
    }
    columns_ = column(x1_) + 1, rows_ = row(y1_) + 1;
    begin_.assign(size_t(columns_) * size_t(rows_) + 1, 0);
    for (size_t j = 0; j < pixels.size(); ++j)
      ++begin_[cell_of(j) + 1];
    std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
    std::vector<int32_t> next(begin_.begin(), begin_.end() - 1);
    pixel_.resize(pixels.size());
    std::vector<float> by_cell_x(pixels.size()), by_cell_y(pixels.size());
    for (size_t j = 0; j < pixels.size(); ++j) {
      const size_t to = size_t(next[cell_of(j)]++);
      pixel_[to] = pixels[j], by_cell_x[to] = x_[j], by_cell_y[to] = y_[j];
    }
    x_ = std::move(by_cell_x), y_ = std::move(by_cell_y);
  }

  /// Appends to `inside` the pixels that point into the ellipse of this centre and these half-axes, in px.
  void find(float x, float y, double half_x, double half_y, std::vector<int32_t>& inside) const {
    if (pixel_.empty()) return;
    const float inverse_x = float(1 / (half_x * half_x)), inverse_y = float(1 / (half_y * half_y));
    const int left = column(float(x - half_x)), right = column(float(x + half_x));
    const int top = row(float(y - half_y)), bottom = row(float(y + half_y));
    for (int r = top; r <= bottom; ++r) {
      const size_t first = size_t(r) * size_t(columns_);
      const int32_t end = begin_[first + size_t(right) + 1];
      for (int32_t j = begin_[first + size_t(left)]; j < end; ++j) {
        const float dx = x_[size_t(j)] - x, dy = y_[size_t(j)] - y;
        if (inverse_x * (dx * dx) + inverse_y * (dy * dy) < 1) inside.push_back(pixel_[size_t(j)]);
      }
    }
  }

 private:
  int column(float x) const { return int(std::clamp((x - x0_) / cell, 0.f, (x1_ - x0_) / cell)); }
  int row(float y) const { return int(std::clamp((y - y0_) / cell, 0.f, (y1_ - y0_) / cell)); }
  size_t cell_of(size_t j) const { return size_t(row(y_[j])) * size_t(columns_) + size_t(column(x_[j])); }

  std::vector<float> x_, y_;
  std::vector<int32_t> pixel_, begin_;
  float x0_ = 0, y0_ = 0, x1_ = 0, y1_ = 0;
  int columns_ = 1, rows_ = 1;
};

constexpr float spacing = kernels::coordinate_grid - 1;  // of the grid of coordinates, px per unit

struct RawMaps {
  const float* values;
  size_t pixels;
  const float* operator[](int c) const { return values + size_t(c) * pixels; }
};

/// The foreground, and where it points to.
struct Foreground {
  std::vector<float> phi;       // the seed probability of every pixel of the image; 0 where a map is NaN
  std::vector<int32_t> pixels;  // of the foreground, in raster order
  std::vector<float> x, y;      // the point that each of them points to, px
  std::vector<float> sigma[2];  // of each of them, along x and y
};

Foreground foreground_of(const RawMaps& maps, int width, double threshold) {
  Foreground found{std::vector<float>(maps.pixels), {}, {}, {}, {}};
  for (size_t i = 0; i < maps.pixels; ++i) {
    float& phi = found.phi[i] = float(kernels::reproducible_sigmoid(double(maps[4][i])));
    const bool is_nan = std::isnan(maps[0][i]) || std::isnan(maps[1][i]) || std::isnan(maps[2][i] + maps[3][i] + phi);
    if (is_nan) phi = 0;
    if (is_nan || !(double(phi) > threshold)) continue;
    const auto offset = [&](int c) { return spacing * float(kernels::reproducible_tanh(double(maps[c][i]))); };
    found.pixels.push_back(int32_t(i));
    found.x.push_back(float(i % size_t(width)) + offset(0));
    found.y.push_back(float(i / size_t(width)) + offset(1));
    found.sigma[0].push_back(maps[2][i]);
    found.sigma[1].push_back(maps[3][i]);
  }
  return found;
}

/// A Gaussian of sigma 1, cut off at 4 px; rows and columns are reflected about their outer edges.
std::vector<float> smoothed(const std::vector<float>& map, int height, int width) {
  constexpr int radius = 4;
  double weight[radius + 1], sum = 0;
  for (int d = 0; d <= radius; ++d)
    sum += (d == 0 ? 1 : 2) * (weight[d] = kernels::reproducible_exp(-d * d / 2.0));
  std::vector<float> rows(map.size()), all(map.size());
  for (int pass = 0; pass < 2; ++pass) {
    const std::vector<float>& from = pass == 0 ? map : rows;
    std::vector<float>& to = pass == 0 ? rows : all;
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) {
        double s = 0;
        for (int d = -radius; d <= radius; ++d) {
          const int row = pass == 0 ? kernels::mirrored(y + d, height) : y;
          const int column = pass == 0 ? x : kernels::mirrored(x + d, width);
          s += weight[std::abs(d)] * from[size_t(row) * size_t(width) + size_t(column)];
        }
        to[size_t(y) * size_t(width) + size_t(x)] = float(s / sum);
      }
  }
  return all;
}

/// The plateaus among local maxima, and which of their pixels earlier proposals contain. Without them, each pixel of a
/// saturated seed map would propose an object, and the time would grow with the square of the number of pixels.
class Plateaus {
 public:
  Plateaus() = default;
  Plateaus(const std::vector<int32_t>& maxima, int height, int width)
      : of_pixel_(size_t(height) * size_t(width), 0), spent_(of_pixel_.size(), 0) {
    std::vector<uint8_t> mask(of_pixel_.size(), 0);
    for (const int32_t i : maxima)
      mask[size_t(i)] = 1;
    const int64_t count = kernels::components({}, View<const uint8_t, 2>{mask.data(), {height, width}}, 8,
                                              View<int32_t, 2>{of_pixel_.data(), {height, width}});
    std::vector<int32_t> size(size_t(count) + 1, 0);
    for (const int32_t plateau : of_pixel_)
      ++size[size_t(plateau)];
    for (int32_t& plateau : of_pixel_)
      if (size[size_t(plateau)] == 1) plateau = 0;
  }

  bool is_spent(size_t pixel) const { return !spent_.empty() && spent_[pixel]; }
  void propose(size_t seed, const std::vector<int32_t>& proposal) {
    if (of_pixel_.empty() || of_pixel_[seed] == 0) return;
    for (const int32_t i : proposal)
      if (of_pixel_[size_t(i)] == of_pixel_[seed]) spent_[size_t(i)] = 1;
  }

 private:
  std::vector<int32_t> of_pixel_;  // its plateau, or 0
  std::vector<uint8_t> spent_;
};

/// Renumbers the remaining ids, of `count`, in raster order. Returns the new number of each id, or 0.
std::vector<int32_t> renumber(Labels& labels, size_t count) {
  std::vector<int32_t> number(count + 1, 0);
  for (int32_t& id : labels.ids) {
    if (id == 0) continue;
    int32_t& to = number[size_t(id)];
    if (to == 0) to = ++labels.count;
    id = to;
  }
  return number;
}

std::vector<Planes::Run> runs_of(std::vector<int32_t>& pixels) {
  std::sort(pixels.begin(), pixels.end());
  std::vector<Planes::Run> runs;
  for (const int32_t i : pixels)
    append_run(runs, i, i + 1);
  return runs;
}

/// The objects that are accepted from one proposal after another.
class Accepted {
 public:
  Accepted(int height, int width, const EmbedSegDecoding& o, bool keep_whole)
      : o_(o),
        keep_whole_(keep_whole),
        labels_{height, width, 0, std::vector<int32_t>(size_t(height) * size_t(width))} {
    claimed_.resize(labels_.ids.size());
  }

  bool claimed(size_t pixel) const { return claimed_[pixel] != 0; }
  void claim(size_t pixel) { claimed_[pixel] = 1; }

  /// Accepts a proposal that is large enough, and of which enough is unclaimed.
  void propose(const std::vector<int32_t>& proposal) {
    const auto free = std::count_if(proposal.begin(), proposal.end(), [&](int32_t i) { return !claimed(size_t(i)); });
    const bool accepted =
        int64_t(proposal.size()) > o_.min_size && double(free) > o_.unclaimed * double(proposal.size());
    if (accepted) ++count_;
    if (accepted && keep_whole_) whole_.push_back(proposal);
    for (const int32_t i : proposal) {
      int32_t& id = labels_.ids[size_t(i)];
      share_pixels_ = share_pixels_ || (accepted && id != 0);
      if (accepted) id = count_;
      if (accepted || o_.seeds == EmbedSegDecoding::Seeds::seed_map) claim(size_t(i));
    }
  }

  /// The labels of the objects that keep a pixel. `whole` as in decode().
  Labels finish(std::optional<Planes>* whole) {
    const std::vector<int32_t> number = renumber(labels_, size_t(count_));
    if (whole && share_pixels_) {
      *whole = Planes{labels_.height, labels_.width, std::vector<std::vector<Planes::Run>>(size_t(labels_.count))};
      for (size_t k = 0; k < whole_.size(); ++k)
        if (number[k + 1] > 0) (*whole)->objects[size_t(number[k + 1]) - 1] = runs_of(whole_[k]);
    }
    return std::move(labels_);
  }

 private:
  const EmbedSegDecoding& o_;
  bool keep_whole_, share_pixels_ = false;
  Labels labels_;
  std::vector<uint8_t> claimed_;
  std::vector<std::vector<int32_t>> whole_;  // the accepted proposals, if they are kept
  int32_t count_ = 0;                        // of accepted proposals
};

}  // namespace

Labels decode(const Exec& exec, Tensor raw, const EmbedSegDecoding& o, std::optional<Planes>* whole) {
  BASIN_CHECK(raw.shape().rank() == 3 && raw.dim(0) == 5, "maps ", raw.shape());
  const int height = raw.dim(1), width = raw.dim(2);
  raw = raw.to_host(exec);
  const Foreground found = foreground_of({raw.data<float>(), size_t(height) * size_t(width)}, width, o.foreground);
  raw = {};
  const std::vector<float>& phi = found.phi;
  const std::vector<int32_t>& foreground = found.pixels;

  std::vector<int32_t> order(foreground.size());  // indices into `foreground`
  std::iota(order.begin(), order.end(), 0);
  const bool by_maxima = o.seeds == EmbedSegDecoding::Seeds::local_maxima;
  const std::vector<float> smooth = by_maxima ? smoothed(phi, height, width) : std::vector<float>{};
  const auto pixel_of = [&](int32_t j) { return foreground[size_t(j)]; };
  std::erase_if(order, [&](int32_t j) {
    return by_maxima ? !is_local_maximum(smooth, height, width, pixel_of(j))
                     : double(phi[size_t(pixel_of(j))]) < o.seed_threshold;
  });
  Plateaus plateaus;
  if (by_maxima) {
    std::vector<int32_t> maxima(order.size());
    std::transform(order.begin(), order.end(), maxima.begin(), pixel_of);
    plateaus = Plateaus(maxima, height, width);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return phi[size_t(pixel_of(a))] > phi[size_t(pixel_of(b))]; });

  const PointedAt pointed_at(found.x, found.y, foreground);
  Accepted accepted(height, width, o, whole != nullptr);
  std::vector<int32_t> proposal;
  for (const int32_t j : order) {
    const size_t seed = size_t(pixel_of(j));
    if (plateaus.is_spent(seed)) continue;
    if (!by_maxima) {
      if (accepted.claimed(seed)) continue;
      accepted.claim(seed);
    }
    // exp(-s r^2) > 1/2 inside the half-axes sqrt(ln 2 / s), here in px
    const auto half_axis = [&](int c) {
      const double sigma = double(found.sigma[c][size_t(j)]);
      return double(spacing) * std::sqrt(std::numbers::ln2 / kernels::reproducible_exp(10 * sigma));
    };
    proposal.clear();
    pointed_at.find(found.x[size_t(j)], found.y[size_t(j)], half_axis(0), half_axis(1), proposal);
    plateaus.propose(seed, proposal);
    accepted.propose(proposal);
  }
  return accepted.finish(whole);
}

Tensor embedseg_oracle(const Exec& exec, const Labels& labels, kernels::CentreKind kind, int layers) {
  const Exec cpu;
  const int height = labels.height / layers;
  const size_t pixels = labels.ids.size() / size_t(layers);
  const float half_axis = 0.5f / spacing;
  const float sigma = std::log(std::log(2.f) / (half_axis * half_axis)) / 10;
  std::vector<float> raw(5 * pixels, 0);
  std::fill(raw.begin() + std::ptrdiff_t(2 * pixels), raw.begin() + std::ptrdiff_t(4 * pixels), sigma);
  std::fill(raw.begin() + std::ptrdiff_t(4 * pixels), raw.end(), -20.f);
  if (labels.count > 0) {
    const Tensor ids = Tensor::from(cpu, {1, layers, height, labels.width}, labels.ids);
    const std::vector<double> centre = instance_targets(cpu, ids, labels.count, kind).centre.to_host<double>(cpu);
    for (size_t i = 0; i < pixels; ++i) {
      size_t in_layer = i;
      while (in_layer < labels.ids.size() && labels.ids[in_layer] == 0)
        in_layer += pixels;
      if (in_layer >= labels.ids.size()) continue;
      const size_t k = size_t(labels.ids[in_layer] - 1);
      const double at[2] = {double(i % size_t(labels.width)), double(i / size_t(labels.width))};
      for (size_t c = 0; c < 2; ++c) {
        const double to = (centre[2 * k + c] - at[c]) / double(spacing);
        if (!(std::abs(to) < 1))
          refuse("contains an object as wide as the coordinate grid of ", kernels::coordinate_grid, " pixels");
        raw[c * pixels + i] = float(std::atanh(to));
      }
      raw[4 * pixels + i] = 20;
    }
  }
  return Tensor::from(exec, {5, height, labels.width}, raw);
}

}  // namespace basin

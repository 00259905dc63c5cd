#include "models/tiling.h"

#include <algorithm>
#include <cmath>

#include "engine/pool.h"

namespace basin {
namespace {

int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

/// What lies outside the image: 0, or the image mirrored at its edge, which is not repeated. Where the padding is as
/// wide as the image, mirroring is impossible and the edge is repeated instead (methods.md 3.8).
enum class Outside { zero, reflect };

/// Tiles along one axis: tile k reads [start[k], start[k] + tile) and gives its pixels [from[k], to[k]), which count
/// weight[k] times in the average.
struct Axis {
  int tile = 0;
  std::vector<int> start, from, to, weight;
};

/// The pixel in [0, size) that stands for pixel i of the padded axis.
int padded_pixel(int i, int size, bool mirror) {
  if (mirror) i = i < 0 ? -i : i >= size ? 2 * (size - 1) - i : i;
  return std::clamp(i, 0, size - 1);
}
bool can_mirror(const Axis& a, int size) { return std::max(-a.start.front(), a.start.back() + a.tile - size) < size; }

/// Of ascending starts. One that is there twice is a tile of twice the weight, which the network sees once.
Axis averaging_axis(const std::vector<int>& starts, int tile, int first, int last, int overlap) {
  Axis a;
  a.tile = tile;
  const int trim = overlap / 4;
  for (const int s : starts) {
    if (!a.start.empty() && s == a.start.back()) {
      ++a.weight.back();
      continue;
    }
    a.start.push_back(s);
    a.from.push_back(s <= first ? s : s + trim);
    a.to.push_back(s + tile >= last ? s + tile : s + tile - trim);
    a.weight.push_back(1);
  }
  return a;
}

/// Tiles that give disjoint pixels and see at least `radius` more on each side, unless the image ends there. Starts are
/// multiples of `multiple`, so that pooling windows fall as they do in the whole image.
Axis exact_axis(int size, int tile, const NetworkNeeds& needs) {
  const int margin = round_up(needs.receptive_radius, needs.multiple), whole = round_up(size, needs.multiple);
  Axis a;
  if (whole <= std::max(tile, 2 * margin + needs.multiple)) {
    a.tile = whole;
    a.start = {0}, a.from = {0}, a.to = {size}, a.weight = {1};
    return a;
  }
  a.tile = round_up(std::max(tile, 2 * margin + needs.multiple), needs.multiple);
  for (int from = 0; from < size;) {
    const int start = std::min(std::max(0, from - margin), whole - a.tile);
    const int to = start + a.tile >= whole ? size : start + a.tile - margin;
    a.start.push_back(start), a.from.push_back(from), a.to.push_back(to), a.weight.push_back(1);
    from = to;
  }
  return a;
}

/// Accumulates maps of tiles, times their weights, and divides by the weights of each pixel.
class Merger {
 public:
  Merger(const Exec& exec, int height, int width) : exec_(without_pool(exec)), height_(height), width_(width) {}

  void add(const std::vector<Tensor>& maps, int n, const Axis& ys, int ky, const Axis& xs, int kx) {
    if (sums_.empty())
      for (const Tensor& m : maps)
        sums_.push_back(Tensor::zeros(exec_, {m.dim(1), height_, width_}));
    const int y0 = std::max(0, ys.from[size_t(ky)]), y1 = std::min(height_, ys.to[size_t(ky)]);
    const int x0 = std::max(0, xs.from[size_t(kx)]), x1 = std::min(width_, xs.to[size_t(kx)]);
    const float weight = float(ys.weight[size_t(ky)] * xs.weight[size_t(kx)]);
    for (size_t m = 0; m < maps.size(); ++m) {
      const View<const float, 4> from = maps[m].view<const float, 4>();
      const View<float, 3> to = sums_[m].view<float, 3>();
      for (int c = 0; c < from.dim[1]; ++c)
        for (int y = y0; y < y1; ++y) {
          const float* row = &from(n, c, y - ys.start[size_t(ky)], 0) - xs.start[size_t(kx)];
          float* sum = &to(c, y, 0);
          for (int x = x0; x < x1; ++x)
            sum[x] += weight * row[x];
        }
    }
  }

  std::vector<Tensor> finish(const Axis& ys, const Axis& xs) {
    const std::vector<float> by_row = inverse_weights(ys, height_), by_column = inverse_weights(xs, width_);
    for (const Tensor& t : sums_) {
      const View<float, 3> v = t.view<float, 3>();
#pragma omp parallel for schedule(static)
      for (int y = 0; y < height_; ++y)
        for (int c = 0; c < v.dim[0]; ++c)
          for (int x = 0; x < width_; ++x)
            v(c, y, x) *= by_row[size_t(y)] * by_column[size_t(x)];
    }
    return std::move(sums_);
  }

 private:
  static std::vector<float> inverse_weights(const Axis& a, int size) {
    std::vector<float> weights(size_t(size), 0.f);
    for (size_t k = 0; k < a.start.size(); ++k)
      for (int i = std::max(0, a.from[k]); i < std::min(size, a.to[k]); ++i)
        weights[size_t(i)] += float(a.weight[k]);
    for (float& w : weights)
      w = 1 / std::max(w, 1.f);
    return weights;
  }

  Exec exec_;
  int height_, width_;
  std::vector<Tensor> sums_;
};

std::vector<Tensor> run_axes(const Exec& exec, const Tensor& image, const Axis& ys, const Axis& xs, Outside outside,
                             int batch, const TileNetwork& network) {
  const View<const float, 3> from = image.view<const float, 3>();
  const int channels = from.dim[0], height = from.dim[1], width = from.dim[2];
  Merger merger(exec, height, width);
  const int64_t tiles = int64_t(ys.start.size()) * int64_t(xs.start.size());
  const int across = int(xs.start.size());
  const bool mirror_y = can_mirror(ys, height), mirror_x = can_mirror(xs, width);
  for (int64_t first = 0; first < tiles; first += batch) {
    const int n = int(std::min<int64_t>(batch, tiles - first));
    const Tensor input = Tensor::empty(exec, {n, channels, ys.tile, xs.tile});
    const View<float, 4> to = input.view<float, 4>();
    const int64_t rows = int64_t(n) * channels * ys.tile;
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      const int y = int(row % ys.tile), c = int(row / ys.tile % channels), i = int(row / ys.tile / channels);
      const int64_t tile = first + i;
      const int sy = ys.start[size_t(tile / across)] + y, sx = xs.start[size_t(tile % across)];
      float* out = &to(i, c, y, 0);
      if (outside == Outside::zero) {
        const bool in = sy >= 0 && sy < height;
        for (int x = 0; x < xs.tile; ++x)
          out[x] = in && sx + x >= 0 && sx + x < width ? from(c, sy, sx + x) : 0.f;
      } else {
        for (int x = 0; x < xs.tile; ++x)
          out[x] = from(c, padded_pixel(sy, height, mirror_y), padded_pixel(sx + x, width, mirror_x));
      }
    }
    const std::vector<Tensor> maps = network(input);
    for (int i = 0; i < n; ++i)
      merger.add(maps, i, ys, int((first + i) / across), xs, int((first + i) % across));
  }
  return merger.finish(ys, xs);
}

Axis dynamic_axis(int size, int tile, int overlap) {
  const int padded = std::max(size, tile), before = (padded - size) / 2;
  std::vector<int> starts = dynamic_starts(padded, tile, overlap);
  for (int& s : starts)
    s -= before;
  return averaging_axis(starts, tile, -before, padded - before, overlap);
}

Axis padding_axis(int size, int tile, int overlap) {
  const int stride = tile - overlap, steps = (std::max(size - tile, 0) + stride - 1) / stride;
  const int padded = tile + stride * steps, before = (padded - size) / 2;
  std::vector<int> starts;
  for (int k = 0; k <= steps; ++k)
    starts.push_back(k * stride - before);
  return averaging_axis(starts, tile, -before, padded - before, overlap);
}

/// Bilinear, align_corners = false, edge replicated (methods.md 2.6), each channel times its factor.
Tensor resize(const Exec& exec, const Tensor& from, int height, int width, const std::vector<float>& factor) {
  const View<const float, 3> in = from.view<const float, 3>();
  const Tensor out = Tensor::empty(without_pool(exec), {in.dim[0], height, width});
  const View<float, 3> to = out.view<float, 3>();
  const auto source = [](int d, int size, int resized, int& i0, int& i1) {
    const double s = std::max(0., (d + 0.5) * (double(size) / resized) - 0.5);
    i0 = std::min(int(s), size - 1), i1 = std::min(i0 + 1, size - 1);
    return float(s - i0);
  };
#pragma omp parallel for schedule(static)
  for (int y = 0; y < height; ++y) {
    int y0, y1, x0, x1;
    const float wy = source(y, in.dim[1], height, y0, y1);
    for (int x = 0; x < width; ++x) {
      const float wx = source(x, in.dim[2], width, x0, x1);
      for (int c = 0; c < in.dim[0]; ++c) {
        const float above = in(c, y0, x0) + wx * (in(c, y0, x1) - in(c, y0, x0));
        const float below = in(c, y1, x0) + wx * (in(c, y1, x1) - in(c, y1, x0));
        to(c, y, x) = (above + wy * (below - above)) * factor[size_t(c)];
      }
    }
  }
  return out;
}

}  // namespace

std::vector<int> dynamic_starts(int size, int tile, int overlap) {
  BASIN_CHECK(size >= tile && overlap >= 0 && overlap < tile, "size ", size, ", tile ", tile, ", overlap ", overlap);
  const int n = int(1 + double(size - tile) / (tile - overlap)) + 1;
  std::vector<int> starts;
  for (int k = 0; k < n; ++k)
    starts.push_back(std::min(k * (tile - overlap), size - tile));
  return starts;
}

void check(const TilingOptions& o, int multiple) {
  if (o.tile < multiple || o.tile % multiple != 0) refuse("--tile ", o.tile, ": expected a multiple of ", multiple);
  if (o.overlap < 0 || o.overlap >= o.tile) refuse("--overlap ", o.overlap, ": expected less than --tile ", o.tile);
}

std::vector<Tensor> run_tiled(const Exec& exec, const Tensor& image, const TilingOptions& o, const NetworkNeeds& needs,
                              const std::vector<bool>& is_field, const TileNetwork& network) {
  const int height = image.dim(1), width = image.dim(2);
  check(o, needs.multiple);
  if (o.tiling == Tiling::exact)
    return run_axes(exec, image, exact_axis(height, o.tile, needs), exact_axis(width, o.tile, needs), Outside::zero,
                    o.batch, network);
  if (o.tiling == Tiling::dynamic)
    return run_axes(exec, image, dynamic_axis(height, o.tile, o.overlap), dynamic_axis(width, o.tile, o.overlap),
                    Outside::zero, o.batch, network);
  const Axis ys = padding_axis(height, o.tile, o.overlap), xs = padding_axis(width, o.tile, o.overlap);
  if (o.tiling == Tiling::pad) return run_axes(exec, image, ys, xs, Outside::reflect, o.batch, network);

  const int big_height = ys.start.back() + o.tile - ys.start[0], big_width = xs.start.back() + o.tile - xs.start[0];
  const Tensor big = resize(exec, image, big_height, big_width, std::vector<float>(size_t(image.dim(0)), 1.f));
  std::vector<Tensor> maps = run_axes(exec, big, padding_axis(big_height, o.tile, o.overlap),
                                      padding_axis(big_width, o.tile, o.overlap), Outside::reflect, o.batch, network);
  for (size_t m = 0; m < maps.size(); ++m) {
    std::vector<float> factor(size_t(maps[m].dim(0)), 1.f);
    if (is_field[m]) factor = {float(width) / float(big_width), float(height) / float(big_height)};
    maps[m] = resize(exec, maps[m], height, width, factor);
  }
  return maps;
}

Tiling parse_tiling(const std::string& text) {
  for (const Tiling t : {Tiling::dynamic, Tiling::pad, Tiling::resize, Tiling::exact})
    if (to_string(t) == text) return t;
  refuse("--tiling ", text, ": expected dynamic, pad, resize or exact");
}

std::string to_string(Tiling t) {
  switch (t) {
    case Tiling::dynamic:
      return "dynamic";
    case Tiling::pad:
      return "pad";
    case Tiling::resize:
      return "resize";
    default:
      return "exact";
  }
}

}  // namespace basin

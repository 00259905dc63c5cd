#include "models/networks/tiling.h"

#include <algorithm>
#include <cmath>

#include "engine/batch.h"
#include "engine/pool.h"
#include "kernels/image/tiles.h"
#include "kernels/runtime/enum_names.h"

namespace basin {
namespace {

constexpr std::pair<Tiling, const char*> tilings[] = {{Tiling::fit, "fit"},
                                                      {Tiling::dynamic, "dynamic"},
                                                      {Tiling::pad, "pad"},
                                                      {Tiling::resize, "resize"},
                                                      {Tiling::exact, "exact"}};

using kernels::Outside;

int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

/// Tiles along one axis: tile k reads [start[k], start[k] + tile) and contributes its pixels [from[k], to[k]) with
/// weight[k] to the average.
struct Axis {
  int tile = 0;
  std::vector<int> start, from, to, weight;
};

/// If the padding is at least as wide as the image, mirroring is impossible and the edge is repeated instead.
Outside mirrored(const Axis& a, int size) {
  return std::max(-a.start.front(), a.start.back() + a.tile - size) < size ? Outside::mirror : Outside::edge;
}

/// Overlapping tiles with ascending starts. A start that occurs twice gives a tile with twice the weight, which is
/// predicted once.
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

/// Tiles that contribute disjoint pixels and read at least the receptive radius more on each side, unless the image
/// ends there. Starts are multiples of `multiple`, so that pooling windows are aligned as in the whole image.
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

/// The smallest side with which `count` exact tiles cover an axis.
int fitting_tile(int size, int count, const NetworkNeeds& needs) {
  const int margin = round_up(needs.receptive_radius, needs.multiple), whole = round_up(size, needs.multiple);
  if (count == 1) return whole;
  const int64_t covered = whole + int64_t(2) * (count - 1) * margin;
  return std::max(round_up(int((covered + count - 1) / count), needs.multiple), 2 * margin + needs.multiple);
}

/// Sides of exact tiles, and the number of pixels that the network computes with them.
struct TilePlan {
  int height = 0, width = 0;
  int64_t computed = INT64_MAX;
};

/// The plan with the fewest computed pixels for tiles of at most `max_pixels`; of equally good plans the one with the
/// fewest tiles. `computed` is INT64_MAX if there is no plan.
TilePlan best_plan(int height, int width, int64_t max_pixels, const NetworkNeeds& needs) {
  constexpr int max_count = 256;
  TilePlan best;
  for (int rows = 1; rows <= max_count; ++rows) {
    const int tile_height = fitting_tile(height, rows, needs);
    for (int columns = 1; columns <= max_count; ++columns) {
      const int tile_width = fitting_tile(width, columns, needs);
      if (int64_t(tile_height) * tile_width > max_pixels) continue;
      const int64_t computed = int64_t(rows) * columns * tile_height * tile_width;
      if (computed < best.computed) best = {tile_height, tile_width, computed};
      break;  // further columns would only add margins
    }
  }
  return best;
}

/// The best plan for tiles of at most `max_pixels`, or of larger ones if a network with a large receptive field would
/// otherwise compute more than three times the pixels of the image.
TilePlan fitting_plan(int height, int width, int64_t max_pixels, const NetworkNeeds& needs) {
  const int64_t pixels = int64_t(fitting_tile(height, 1, needs)) * fitting_tile(width, 1, needs);
  for (;; max_pixels *= 2)
    if (const TilePlan plan = best_plan(height, width, max_pixels, needs); plan.computed / 3 <= pixels) return plan;
}

/// Accumulates weighted maps of tiles, and divides each pixel by its total weight.
class Merger {
 public:
  Merger(const Exec& exec, int height, const Axis& ys, int width, const Axis& xs)
      : exec_(for_images(exec)),
        height_(height),
        width_(width),
        by_row_(Tensor::from(exec_, {height}, inverse_weights(ys, height))),
        by_column_(Tensor::from(exec_, {width}, inverse_weights(xs, width))) {}

  void add(const std::vector<Tensor>& maps, int n, const Axis& ys, int ky, const Axis& xs, int kx) {
    if (sums_.empty())
      for (const Tensor& m : maps)
        sums_.push_back(Tensor::zeros(exec_, {m.dim(1), height_, width_}));
    const size_t y = size_t(ky), x = size_t(kx);
    const kernels::TileShare share{ys.start[y],
                                   xs.start[x],
                                   std::max(0, ys.from[y]),
                                   std::min(height_, ys.to[y]),
                                   std::max(0, xs.from[x]),
                                   std::min(width_, xs.to[x]),
                                   float(ys.weight[y] * xs.weight[x])};
    for (size_t m = 0; m < maps.size(); ++m)
      kernels::add_tile(exec_, image_of<const float>(maps[m], n), share, sums_[m].view<float, 3>());
  }

  std::vector<Tensor> finish() {
    for (const Tensor& t : sums_)
      kernels::scale_map(exec_, by_row_.data<const float>(), by_column_.data<const float>(), t.view<float, 3>());
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
  Tensor by_row_, by_column_;
  std::vector<Tensor> sums_;
};

std::vector<Tensor> run_axes(const Exec& exec, const Tensor& image, const Axis& ys, const Axis& xs, bool mirror,
                             int batch, const TilingOptions& o, const TileNetwork& network) {
  const View<const float, 3> from = image.view<const float, 3>();
  const int channels = from.dim[0], height = from.dim[1], width = from.dim[2];
  Merger merger(exec, height, ys, width, xs);
  const int64_t tiles = int64_t(ys.start.size()) * int64_t(xs.start.size());
  const int across = int(xs.start.size());
  const Outside rows = mirror ? mirrored(ys, height) : Outside::zero;
  const Outside columns = mirror ? mirrored(xs, width) : Outside::zero;
  for (int64_t first = 0, n = 0; first < tiles; first += n) {
    n = std::min<int64_t>(batch, tiles - first);
    std::vector<Tensor> maps;
    try {
      const Tensor input = Tensor::empty(exec, {n, channels, ys.tile, xs.tile});
      for (int i = 0; i < n; ++i)
        kernels::cut_tile(exec, from, ys.start[size_t((first + i) / across)], xs.start[size_t((first + i) % across)],
                          rows, columns, image_of<float>(input, i));
      maps = network(input);
    } catch (const OutOfMemory&) {
      if (n == 1) throw;
      pool_of(exec.device).trim();
      batch = int(n / 2), n = 0;
      continue;
    }
    for (int i = 0; i < n; ++i)
      merger.add(maps, i, ys, int((first + i) / across), xs, int((first + i) % across));
    if (o.progress) o.progress(double(first + n) / double(tiles));
  }
  return merger.finish();
}

/// The exact tiles of an image along both axes.
std::pair<Axis, Axis> exact_axes(int height, int width, const TilingOptions& o, const NetworkNeeds& needs) {
  TilePlan plan{o.tile, o.tile};
  if (o.tiling == Tiling::fit) plan = fitting_plan(height, width, o.max_tile_pixels, needs);
  return {exact_axis(height, plan.height, needs), exact_axis(width, plan.width, needs)};
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

Tensor resized(const Exec& exec, const Tensor& from, int height, int width, float factor_x, float factor_y) {
  const Tensor to = Tensor::empty(for_images(exec), {from.dim(0), height, width});
  kernels::resize_map(exec, from.view<const float, 3>(), factor_x, factor_y, to.view<float, 3>());
  return to;
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
  if (o.tiling == Tiling::fit) return;
  if (o.tile < multiple || o.tile % multiple != 0) refuse("--tile ", o.tile, ": expected a multiple of ", multiple);
  if (o.tiling != Tiling::exact && (o.overlap < 0 || o.overlap >= o.tile))
    refuse("--overlap ", o.overlap, ": expected less than --tile ", o.tile);
}

std::vector<Tensor> run_tiled(const Exec& exec, const Tensor& image, const TilingOptions& o, const NetworkNeeds& needs,
                              const std::vector<bool>& is_field, const TileNetwork& network) {
  const int height = image.dim(1), width = image.dim(2);
  check(o, needs.multiple);
  if (o.tiling == Tiling::exact || o.tiling == Tiling::fit) {
    const auto [ys, xs] = exact_axes(height, width, o, needs);
    return run_axes(exec, image, ys, xs, false, tiles_at_once(exec.device, o, ys.tile, xs.tile), o, network);
  }
  const int batch = tiles_at_once(exec.device, o, o.tile, o.tile);
  if (o.tiling == Tiling::dynamic)
    return run_axes(exec, image, dynamic_axis(height, o.tile, o.overlap), dynamic_axis(width, o.tile, o.overlap), false,
                    batch, o, network);
  const Axis ys = padding_axis(height, o.tile, o.overlap), xs = padding_axis(width, o.tile, o.overlap);
  if (o.tiling == Tiling::pad) return run_axes(exec, image, ys, xs, true, batch, o, network);

  const int big_height = ys.start.back() + o.tile - ys.start[0], big_width = xs.start.back() + o.tile - xs.start[0];
  const Tensor big = resized(exec, image, big_height, big_width, 1, 1);
  std::vector<Tensor> maps = run_axes(exec, big, padding_axis(big_height, o.tile, o.overlap),
                                      padding_axis(big_width, o.tile, o.overlap), true, batch, o, network);
  const float factor_x = float(width) / float(big_width), factor_y = float(height) / float(big_height);
  for (size_t m = 0; m < maps.size(); ++m)
    maps[m] = resized(exec, maps[m], height, width, is_field[m] ? factor_x : 1, is_field[m] ? factor_y : 1);
  return maps;
}

std::vector<ExactTile> exact_tiles(int height, int width, const TilingOptions& o, const NetworkNeeds& needs) {
  BASIN_CHECK(o.tiling == Tiling::exact || o.tiling == Tiling::fit, to_string(o.tiling));
  check(o, needs.multiple);
  const auto [ys, xs] = exact_axes(height, width, o, needs);
  std::vector<ExactTile> tiles;
  for (size_t y = 0; y < ys.start.size(); ++y)
    for (size_t x = 0; x < xs.start.size(); ++x)
      tiles.push_back({{ys.start[y], xs.start[x], ys.tile, xs.tile},
                       {ys.from[y], xs.from[x], ys.to[y] - ys.from[y], xs.to[x] - xs.from[x]}});
  return tiles;
}

int tiles_at_once(Device device, const TilingOptions& o, int64_t tile_height, int64_t tile_width) {
  if (o.batch > 0) return o.batch;
  const int64_t pixels = int64_t(device == Device::cpu ? 2 : 16) * 256 * 256;
  return int(std::max<int64_t>(1, pixels / (tile_height * tile_width)));
}

Tiling parse_tiling(const std::string& text) { return value_in(tilings, "--tiling", text); }
std::string to_string(Tiling tiling) { return name_in(tilings, tiling); }

}  // namespace basin

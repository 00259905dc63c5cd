#include "models/inference/views.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "engine/pool.h"

namespace basin {
namespace {

using Kind = MapSpec::Kind;
using kernels::SquareSymmetry;

/// Channels [first, first + count) of a map.
template <class T>
View<T, 3> channels_of(const View<T, 3>& map, int first, int count) {
  return {&map(first, 0, 0), {count, map.dim[1], map.dim[2]}};
}

}  // namespace

void add_view(const Exec& exec, const MapSpec& spec, SquareSymmetry symmetry, const Tensor& map, const Tensor& mean) {
  constexpr float weight = 1.f / kernels::square_symmetries;
  const bool is_first = symmetry.index == 0;
  for (int first = 0; first < spec.channels;) {
    const Kind kind = spec.kind_of(first);
    int end = first + 1;
    while (end < spec.channels && spec.kind_of(end) == kind)
      ++end;
    const auto from = channels_of(map.view<const float, 3>(), first, end - first);
    const auto to = channels_of(mean.view<float, 3>(), first, end - first);
    switch (kind) {
      case Kind::scalar:
        kernels::add_undone_scalars(exec, symmetry, from, weight, is_first, to);
        break;
      case Kind::vector:
      case Kind::offset:
        kernels::add_undone_vectors(exec, symmetry, from, weight, is_first, to);
        break;
      case Kind::extent:
        kernels::add_undone_extents(exec, symmetry, from, weight, is_first, to);
        break;
      case Kind::code:
        if (is_first) kernels::add_undone_scalars(exec, symmetry, from, 1, true, to);
        break;
    }
    first = end;
  }
}

bool can_average_views(const Method& method) {
  for (const MapSpec& spec : method.maps())
    for (int c = 0; c < spec.channels; ++c)
      if (spec.kind_of(c) != Kind::code) return true;
  return false;
}

Maps predict_views(const Exec& exec, const Method& method, const Predictor& predictor, const Tensor& image,
                   const TilingOptions& tiling) {
  const int height = image.dim(1), width = image.dim(2);
  Maps mean;
  TilingOptions of_view = tiling;
  int done = 0;  // views
  if (tiling.progress)
    of_view.progress = [&](double share) { tiling.progress((done + share) / kernels::square_symmetries); };
  for (int k = 0; k < kernels::square_symmetries; ++k) {
    const SquareSymmetry symmetry{k};
    Tensor view = image;
    if (k > 0) {
      const bool swaps = symmetry.swaps_sides();
      view = Tensor::empty(for_images(exec), {image.dim(0), swaps ? width : height, swaps ? height : width});
      kernels::apply_symmetry(exec, symmetry, image.view<const float, 3>(), view.view<float, 3>());
    }
    const Maps maps = predictor.predict(exec, view, of_view);
    ++done;
    for (const MapSpec& spec : method.maps()) {
      if (k == 0) mean.tensors[spec.name] = Tensor::empty(for_images(exec), {spec.channels, height, width});
      add_view(exec, spec, symmetry, maps[spec.name], mean.tensors[spec.name]);
    }
  }
  return mean;
}

std::vector<ViewTile> view_tiles(int height, int width, const TilingOptions& tiling, const NetworkNeeds& needs,
                                 bool all_views) {
  std::vector<ViewTile> tiles;
  for (int k = 0; k < (all_views ? kernels::square_symmetries : 1); ++k) {
    const SquareSymmetry view{k};
    const auto begin = ptrdiff_t(tiles.size());
    for (const ExactTile& tile :
         view.swaps_sides() ? exact_tiles(width, height, tiling, needs) : exact_tiles(height, width, tiling, needs))
      tiles.push_back({view, tile, before_view(view, tile.own, height, width)});
    std::sort(tiles.begin() + begin, tiles.end(), [](const ViewTile& a, const ViewTile& b) {
      return a.own.y != b.own.y ? a.own.y < b.own.y : a.own.x < b.own.x;
    });
  }
  return tiles;
}

PixelRect before_view(SquareSymmetry symmetry, const PixelRect& r, int height, int width) {
  if (symmetry.swaps_sides()) std::swap(height, width);
  int y0 = r.y, x0 = r.x, y1 = r.y + r.height - 1, x1 = r.x + r.width - 1;
  symmetry.inverse().move(height, width, y0, x0);
  symmetry.inverse().move(height, width, y1, x1);
  return {std::min(y0, y1), std::min(x0, x1), std::abs(y1 - y0) + 1, std::abs(x1 - x0) + 1};
}

}  // namespace basin

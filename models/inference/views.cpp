#include "models/inference/views.h"

#include <algorithm>

#include "engine/pool.h"
#include "kernels/image/view_average.h"

namespace basin {
namespace {

using Kind = MapSpec::Kind;
using kernels::SquareSymmetry;

/// Channels [first, first + count) of a map.
template <class T>
View<T, 3> channels_of(const View<T, 3>& map, int first, int count) {
  return {&map(first, 0, 0), {count, map.dim[1], map.dim[2]}};
}

/// Adds an eighth of a view's map, turned back, to the sum; the first view overwrites it.
void add_view(const Exec& exec, const MapSpec& spec, SquareSymmetry symmetry, const Tensor& map, const Tensor& sum) {
  constexpr float weight = 1.f / kernels::square_symmetries;
  const bool is_first = symmetry.index == 0;
  for (int first = 0; first < spec.channels;) {
    const Kind kind = spec.kind_of(first);
    int end = first + 1;
    while (end < spec.channels && spec.kind_of(end) == kind)
      ++end;
    const auto from = channels_of(map.view<const float, 3>(), first, end - first);
    const auto to = channels_of(sum.view<float, 3>(), first, end - first);
    switch (kind) {
      case Kind::scalar:
        kernels::add_undone_scalars(exec, symmetry, from, weight, is_first, to);
        break;
      case Kind::vector:
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

}  // namespace

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

}  // namespace basin

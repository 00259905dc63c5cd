#include "models/segmenter.h"

#include <chrono>

#include "kernels/integrate.h"

namespace basin {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

Maps predict_source(const Exec& exec, const Method& method, const Source& source, const TilingOptions& tiling) {
  constexpr int limit = kernels::field_side_limit;
  if (source.height() >= limit || source.width() >= limit)
    refuse("is ", source.width(), " x ", source.height(), " pixels; sides are below ", limit, ": cut it into parts");
  const Tensor input = Tensor::empty(exec, {source.channels(), source.height(), source.width()});
  const View<float, 3> to = input.view<float, 3>();
#pragma omp parallel for schedule(static)
  for (int y = 0; y < source.height(); ++y)
    for (int c = 0; c < source.channels(); ++c)
      source.row(c, y, 0, source.width(), &to(c, y, 0));
  return method.predict(exec, input, tiling);
}

Segmentation segment_source(const Exec& exec, const Method& method, const Source& source, const TilingOptions& tiling) {
  Segmentation result;
  const double start = now();
  result.maps = predict_source(exec, method, source, tiling);
  const double middle = now();
  result.labels = method.decode(exec, result.maps);
  result.network_seconds = middle - start;
  result.decode_seconds = now() - middle;
  return result;
}

}  // namespace basin

#include "kernels/image/resize_antialiased.h"

#include <cmath>

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

/// The pixels of an axis that contribute to one pixel of the resized axis.
struct Window {
  float centre, support;
  int begin, end;

  BASIN_HD Window(int at, int size, int resized) {
    const float ratio = float(size) / float(resized);
    centre = (float(at) + 0.5f) * ratio - 0.5f;
    support = ratio > 1 ? ratio : 1;
    begin = int(ceilf(centre - support)), end = int(floorf(centre + support)) + 1;
    if (begin < 0) begin = 0;
    if (end > size) end = size;
  }
  BASIN_HD float weight(int pixel) const {
    const float w = 1 - fabsf(float(pixel) - centre) / support;
    return w > 0 ? w : 0;
  }
};

struct ResizeAntialiased {
  View<const float, 3> from;
  View<float, 3> to;

  BASIN_HD void operator()(int64_t i) const {
    const int width = to.dim[2], height = to.dim[1];
    const int x = int(i % width), y = int(i / width % height), c = int(i / width / height);
    const Window rows(y, from.dim[1], height), columns(x, from.dim[2], width);
    float sum = 0, total = 0;
    for (int yy = rows.begin; yy < rows.end; ++yy) {
      float of_row = 0, weight = 0;
      for (int xx = columns.begin; xx < columns.end; ++xx) {
        const float w = columns.weight(xx);
        of_row += w * from(c, yy, xx), weight += w;
      }
      sum += rows.weight(yy) * of_row, total += rows.weight(yy) * weight;
    }
    to.data[i] = sum / total;
  }
};

}  // namespace

void resize_antialiased(const Exec& exec, View<const float, 3> from, View<float, 3> to) {
  BASIN_CHECK(from.dim[0] == to.dim[0] && from.size() > 0 && to.size() > 0, "images ", from, " and ", to);
  for_each(exec, to.size(), ResizeAntialiased{from, to});
}

}  // namespace basin::kernels

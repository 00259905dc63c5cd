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
  ResizedPart part;

  BASIN_HD void operator()(int64_t i) const {
    const int width = to.dim[2], height = part.rows.end - part.rows.begin;
    const int x = int(i % width), y = part.rows.begin - part.to.y + int(i / width % height),
              c = int(i / width / height);
    const Window rows(part.to.y + y, part.from.height, part.to.height),
        columns(part.to.x + x, part.from.width, part.to.width);
    float sum = 0, total = 0;
    for (int yy = rows.begin; yy < rows.end; ++yy) {
      float of_row = 0, weight = 0;
      for (int xx = columns.begin; xx < columns.end; ++xx) {
        const float w = columns.weight(xx);
        of_row += w * from(c, yy - part.from.y, xx - part.from.x), weight += w;
      }
      sum += rows.weight(yy) * of_row, total += rows.weight(yy) * weight;
    }
    to(c, y, x) = sum / total;
  }
};

}  // namespace

PixelRange antialiased_sources(const PixelRange& range, int size, int resized) {
  return {Window(range.begin, size, resized).begin, Window(range.end - 1, size, resized).end};
}

void resize_antialiased(const Exec& exec, View<const float, 3> from, View<float, 3> to, const ResizedPart& part) {
  const ResizedPart p = completed(part, from, to);
  check_needed(antialiased_sources(p.rows, p.from.height, p.to.height), p.from.y, from.dim[1]);
  check_needed(antialiased_sources({p.to.x, p.to.x + to.dim[2]}, p.from.width, p.to.width), p.from.x, from.dim[2]);
  for_each(exec, int64_t(to.dim[0]) * (p.rows.end - p.rows.begin) * to.dim[2], ResizeAntialiased{from, to, p});
}

}  // namespace basin::kernels

#include "data/dataset/placement.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "data/dataset/smooth_noise.h"
#include "kernels/image/components.h"

namespace basin {
namespace {

using PlacementKind = Placement::Kind;

/// Rows [y_begin, y_end) and columns [x_begin, x_end) of an image; may extend beyond it.
struct Range2d {
  int y_begin, y_end, x_begin, x_end;

  int height() const { return y_end - y_begin; }
  int width() const { return x_end - x_begin; }
};

/// The source of pixel i on an axis of n pixels that is continued by mirroring.
int mirrored(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * (n - 1), r = ((i % period) + period) % period;
  return r < n ? r : period - r;
}

/// Fills `to` with a box of the image: read_row(y, x, n, values) reads within the image, and `beyond` stands outside
/// it.
template <class T, class F>
void fill_box(const Range2d& box, int height, int width, bool mirror, T beyond, F read_row, T* to) {
  const int begin = std::max(box.x_begin, 0), end = std::min(box.x_end, width);
  for (int y = box.y_begin; y < box.y_end; ++y, to += box.width()) {
    if (!mirror && (y < 0 || y >= height || begin >= end)) {
      std::fill_n(to, box.width(), beyond);
      continue;
    }
    const int from = mirrored(y, height);
    if (begin < end) read_row(from, begin, end - begin, to + (begin - box.x_begin));
    for (int x = box.x_begin; x < box.x_end; ++x) {
      if (x >= begin && x < end) {
        x = end - 1;
        continue;
      }
      T* value = to + (x - box.x_begin);
      if (mirror)
        read_row(from, mirrored(x, width), 1, value);
      else
        *value = beyond;
    }
  }
}

/// The part of the image that a warp reads for the sample and a margin. Without mirroring it extends at most one pixel
/// beyond the image; that zero pixel stands for everything farther out.
Range2d read_by(const Placement& p, int margin, int height, int width) {
  const double low = -margin - double(p.displacement.max), high = p.size - 1 + margin + double(p.displacement.max);
  double min_x = 1e300, max_x = -1e300, min_y = 1e300, max_y = -1e300;
  for (const double x : {low, high})
    for (const double y : {low, high}) {
      min_x = std::min(min_x, p.map.x(x, y)), max_x = std::max(max_x, p.map.x(x, y));
      min_y = std::min(min_y, p.map.y(x, y)), max_y = std::max(max_y, p.map.y(x, y));
    }
  const auto range = [&](double low, double high, int n, int& begin, int& end) {
    low = std::floor(low) - 1, high = std::ceil(high) + 1;
    if (!p.mirror) low = std::clamp(low, -1., double(n - 1)), high = std::clamp(high, double(0), double(n));
    begin = int(low), end = std::max(int(high) + 1, begin + 2);
  };
  Range2d box{};
  range(min_x, max_x, width, box.x_begin, box.x_end);
  range(min_y, max_y, height, box.y_begin, box.y_end);
  return box;
}

/// Calls f(v, x, y) for each row v of a warped sample and its margin, with the source positions x, y of its pixels,
/// relative to the box.
template <class F>
void for_each_warped_row(const Placement& p, int margin, const Range2d& box, CutMemory& memory, F f) {
  const int n = p.size + 2 * margin;
  const SmoothWarp& d = p.displacement;
  std::optional<SmoothNoise> right, down;
  if (d.max > 0) {
    right.emplace(d.key, d.spacing, -margin, n);
    down.emplace(~d.key, d.spacing, -margin, n);
  }
  memory.x.resize(size_t(n));
  memory.y.resize(size_t(n));
  PlaneMap map = p.map;
  map.x0 -= box.x_begin, map.y0 -= box.y_begin;
  for (int v = -margin; v < p.size + margin; ++v) {
    if (right) {
      const float *by_x = right->row(v), *by_y = down->row(v);
      for (int i = 0; i < n; ++i) {
        const double px = i - margin + double(d.max * by_x[i]), py = v + double(d.max * by_y[i]);
        memory.x[size_t(i)] = float(map.x(px, py));
        memory.y[size_t(i)] = float(map.y(px, py));
      }
    } else {
      for (int i = 0; i < n; ++i) {
        memory.x[size_t(i)] = float(map.x(i - margin, v));
        memory.y[size_t(i)] = float(map.y(i - margin, v));
      }
    }
    f(v, memory.x.data(), memory.y.data());
  }
}

int nearest(float at, int n) { return std::min(int(std::max(at + 0.5f, 0.f)), n - 1); }

}  // namespace

PlaneMap PlaneMap::after(const PlaneMap& in) const {
  return {xx * in.xx + xy * in.yx, xx * in.xy + xy * in.yy, x(in.x0, in.y0),
          yx * in.xx + yy * in.yx, yx * in.xy + yy * in.yy, y(in.x0, in.y0)};
}

PlaneMap PlaneMap::inverse() const {
  const double d = xx * yy - xy * yx;
  BASIN_CHECK(d != 0, "the map has no inverse");
  const PlaneMap turn{yy / d, -xy / d, 0, -yx / d, xx / d, 0};
  return {turn.xx, turn.xy, -turn.x(x0, y0), turn.yx, turn.yy, -turn.y(x0, y0)};
}

Placement warped(const Placement& from, const Warp& warp) {
  Placement p = from;
  p.kind = PlacementKind::warp;
  if (from.kind == PlacementKind::window) p.map = {1, 0, double(from.x0), 0, 1, double(from.y0)};
  const double middle = (from.size - 1) / 2.;
  const double c = std::cos(double(warp.angle)) / warp.scale, s = std::sin(double(warp.angle)) / warp.scale;
  const PlaneMap turn{c, c * warp.shear - s, 0, s, s * warp.shear + c, 0};
  const PlaneMap about{turn.xx, turn.xy, middle - turn.x(middle, middle),
                       turn.yx, turn.yy, middle - turn.y(middle, middle)};
  p.map = p.map.after(about);
  p.displacement = warp.displacement;
  return p;
}

int margin_of_whole_image(const Placement& p, int height, int width) {
  PlaneMap map = p.map;
  if (p.kind == PlacementKind::window) map = {1, 0, double(p.x0), 0, 1, double(p.y0)};
  const PlaneMap back = map.inverse();
  double margin = 0;
  for (const int x : {0, width - 1})
    for (const int y : {0, height - 1})
      for (const double at : {back.x(x, y), back.y(x, y)})
        margin = std::max({margin, -at, at - (p.size - 1)});
  return p.kind == PlacementKind::window ? int(margin) : int(std::ceil(margin + double(p.displacement.max))) + 1;
}

void cut_labels(const Example& example, const Placement& p, int margin, CutMemory& memory, int32_t* ids, int32_t beyond,
                int layer) {
  const int height = example.source.height(), width = example.source.width(), n = p.size + 2 * margin;
  const bool has_layer = layer < example.layer_count();
  const auto read_row = [&](int y, int x, int count, int32_t* to) {
    if (has_layer)
      example.layered().row(layer * height + y, x, count, to);
    else
      std::fill_n(to, count, 0);
    for (int i = 0; example.ignored && i < count; ++i)
      if ((*example.ignored)(y, x + i)) to[i] = -1;
  };
  if (p.kind == PlacementKind::window) {
    const Range2d box{p.y0 - margin, p.y0 - margin + n, p.x0 - margin, p.x0 - margin + n};
    return fill_box(box, height, width, p.mirror, beyond, read_row, ids);
  }
  const Range2d box = read_by(p, margin, height, width);
  memory.ids.resize(size_t(box.height()) * size_t(box.width()));
  fill_box(box, height, width, p.mirror, beyond, read_row, memory.ids.data());
  for_each_warped_row(p, margin, box, memory, [&](int, const float* x, const float* y) {
    for (int i = 0; i < n; ++i)
      *ids++ =
          memory.ids[size_t(nearest(y[i], box.height())) * size_t(box.width()) + size_t(nearest(x[i], box.width()))];
  });
}

void cut_channel(const Source& source, int channel, const Placement& p, CutMemory& memory, float* values) {
  const int height = source.height(), width = source.width();
  const auto read_row = [&](int y, int x, int count, float* to) { source.row(channel, y, x, count, to); };
  if (p.kind == PlacementKind::window)
    return fill_box({p.y0, p.y0 + p.size, p.x0, p.x0 + p.size}, height, width, p.mirror, 0.f, read_row, values);
  const Range2d box = read_by(p, 0, height, width);
  memory.values.resize(size_t(box.height()) * size_t(box.width()));
  fill_box(box, height, width, p.mirror, 0.f, read_row, memory.values.data());
  // Without mirroring the edge is repeated.
  const float first_x = p.mirror ? 0 : float(-std::min(box.x_begin, 0));
  const float first_y = p.mirror ? 0 : float(-std::min(box.y_begin, 0));
  const float last_x = float((p.mirror ? box.x_end : std::min(box.x_end, width)) - 1 - box.x_begin);
  const float last_y = float((p.mirror ? box.y_end : std::min(box.y_end, height)) - 1 - box.y_begin);
  for_each_warped_row(p, 0, box, memory, [&](int, const float* x, const float* y) {
    for (int i = 0; i < p.size; ++i) {
      const float at_x = std::clamp(x[i], first_x, last_x), at_y = std::clamp(y[i], first_y, last_y);
      const int left = std::min(int(at_x), box.width() - 2), top = std::min(int(at_y), box.height() - 2);
      const float u = at_x - float(left), v = at_y - float(top);
      const float* from = memory.values.data() + int64_t(top) * box.width() + left;
      const float upper = from[0] + u * (from[1] - from[0]);
      const float lower = from[box.width()] + u * (from[box.width() + 1] - from[box.width()]);
      *values++ = upper + v * (lower - upper);
    }
  });
}

bool reaches_beyond(const Placement& p, int height, int width) {
  const Range2d box = p.kind == PlacementKind::window ? Range2d{p.y0, p.y0 + p.size, p.x0, p.x0 + p.size}
                                                      : read_by(p, 0, height, width);
  return box.y_begin < 0 || box.x_begin < 0 || box.y_end > height || box.x_end > width;
}

void separate_pieces(int layers, int size, CutMemory& memory, int32_t* ids) {
  const size_t n = size_t(size) * size_t(size);
  memory.ids.resize(n);
  int32_t before = 0;  // pieces of earlier layers
  for (int layer = 0; layer < layers; ++layer, ids += n) {
    const int64_t pieces = kernels::components_of_labels({}, {ids, {size, size}}, 8, {memory.ids.data(), {size, size}});
    for (size_t i = 0; i < n; ++i)
      if (ids[i] > 0) ids[i] = before + memory.ids[i];
    before += int32_t(pieces);
  }
}

void close_gaps(int64_t n, int32_t* ids) {
  const int32_t most = n > 0 ? std::max(*std::max_element(ids, ids + n), 0) : 0;
  std::vector<int32_t> number(size_t(most) + 1, 0);  // first 1 for each id that occurs
  for (int64_t i = 0; i < n; ++i)
    if (ids[i] > 0) number[size_t(ids[i])] = 1;
  std::partial_sum(number.begin(), number.end(), number.begin());
  for (int64_t i = 0; i < n; ++i)
    if (ids[i] > 0) ids[i] = number[size_t(ids[i])];
}

Inside inside(const Placement& p, int height, int width, CutMemory& memory) {
  Inside in{0, p.size, 0, p.size, {}};
  if (p.mirror) return in;
  if (p.kind == PlacementKind::window) {
    in.y_begin = std::clamp(-p.y0, 0, p.size), in.y_end = std::clamp(height - p.y0, in.y_begin, p.size);
    in.x_begin = std::clamp(-p.x0, 0, p.size), in.x_end = std::clamp(width - p.x0, in.x_begin, p.size);
    return in;
  }
  const Range2d box = read_by(p, 0, height, width);
  if (box.x_begin >= 0 && box.x_end <= width && box.y_begin >= 0 && box.y_end <= height) return in;
  in.within.resize(size_t(p.size) * size_t(p.size));
  for_each_warped_row(p, 0, box, memory, [&](int v, const float* x, const float* y) {
    for (int i = 0; i < p.size; ++i) {
      const int column = box.x_begin + nearest(x[i], box.width()), row = box.y_begin + nearest(y[i], box.height());
      in.within[size_t(v) * size_t(p.size) + size_t(i)] = column >= 0 && column < width && row >= 0 && row < height;
    }
  });
  return in;
}

}  // namespace basin

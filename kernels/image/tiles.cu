#include "kernels/image/tiles.h"

#include "kernels/runtime/parallel.h"

namespace basin::kernels {
namespace {

/// The source of pixel i on an axis of `size` pixels; -1: none, the value is 0.
BASIN_HD int pixel_at(int i, int size, Outside outside) {
  if (i >= 0 && i < size) return i;
  if (outside == Outside::zero) return -1;
  if (outside == Outside::mirror) i = i < 0 ? -i : 2 * (size - 1) - i;
  return i < 0 ? 0 : i < size ? i : size - 1;
}

struct CutTile {
  View<const float, 3> image;
  int top, left;
  Outside rows, columns;
  View<float, 3> tile;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const int c = int(row / tile.dim[1]), y = int(row % tile.dim[1]), x = int(i);
    const int from_y = pixel_at(top + y, image.dim[1], rows), from_x = pixel_at(left + x, image.dim[2], columns);
    tile(c, y, x) = from_y >= 0 && from_x >= 0 ? image(c, from_y, from_x) : 0;
  }
};

struct AddTile {
  View<const float, 3> tile;
  TileShare share;
  View<float, 3> sum;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const int height = share.y_end - share.y_begin, c = int(row / height);
    const int y = share.y_begin + int(row % height), x = share.x_begin + int(i);
    sum(c, y, x) += share.weight * tile(c, y - share.top, x - share.left);
  }
};

struct ScaleMap {
  const float *by_row, *by_column;
  View<float, 3> map;

  BASIN_HD void operator()(int64_t row, int64_t x) const {
    const int c = int(row / map.dim[1]), y = int(row % map.dim[1]);
    map(c, y, int(x)) *= by_row[y] * by_column[x];
  }
};

/// The position of pixel i of an axis between two pixels of another, which is `size` long.
struct Between {
  int below, above;
  float weight;  // of the upper one

  BASIN_HD Between(int i, int size, int resized) {
    const double s = (i + 0.5) * (double(size) / resized) - 0.5, at = s > 0 ? s : 0;
    below = int(at) < size - 1 ? int(at) : size - 1;
    above = below + 1 < size ? below + 1 : size - 1;
    weight = float(at - below);
  }
};

struct ResizeMap {
  View<const float, 3> from;
  float factor_x, factor_y;
  View<float, 3> to;
  ResizedPart part;

  BASIN_HD void operator()(int64_t row, int64_t i) const {
    const int height = part.rows.end - part.rows.begin;
    const int c = int(row / height), y = part.rows.begin - part.to.y + int(row % height), x = int(i);
    const Between v(part.to.y + y, part.from.height, part.to.height), u(part.to.x + x, part.from.width, part.to.width);
    const auto along = [&](int at) {
      const float left = from(c, at - part.from.y, u.below - part.from.x);
      return left + u.weight * (from(c, at - part.from.y, u.above - part.from.x) - left);
    };
    const float low = along(v.below), value = low + v.weight * (along(v.above) - low);
    to(c, y, x) = value * (c == 0 ? factor_x : c == 1 ? factor_y : 1);
  }
};

int64_t rows_of(View<float, 3> map) { return int64_t(map.dim[0]) * map.dim[1]; }

}  // namespace

void cut_tile(const Exec& exec, View<const float, 3> image, int top, int left, Outside rows, Outside columns,
              View<float, 3> tile) {
  BASIN_CHECK(image.dim[0] == tile.dim[0] && image.size() > 0, "image ", image, ", tile ", tile);
  for_each_row(exec, rows_of(tile), tile.dim[2], CutTile{image, top, left, rows, columns, tile});
}

void add_tile(const Exec& exec, View<const float, 3> tile, const TileShare& s, View<float, 3> sum) {
  BASIN_CHECK(tile.dim[0] == sum.dim[0] && s.y_begin >= 0 && s.y_end <= sum.dim[1] && s.x_begin >= 0 &&
                  s.x_end <= sum.dim[2] && s.y_begin >= s.top && s.y_end <= s.top + tile.dim[1] &&
                  s.x_begin >= s.left && s.x_end <= s.left + tile.dim[2],
              "tile ", tile, " at ", s.top, ", ", s.left, ", sum ", sum);
  for_each_row(exec, int64_t(sum.dim[0]) * (s.y_end - s.y_begin), s.x_end - s.x_begin, AddTile{tile, s, sum});
}

void scale_map(const Exec& exec, const float* by_row, const float* by_column, View<float, 3> map) {
  for_each_row(exec, rows_of(map), map.dim[2], ScaleMap{by_row, by_column, map});
}

void resize_map(const Exec& exec, View<const float, 3> from, float factor_x, float factor_y, View<float, 3> to,
                const ResizedPart& part) {
  const ResizedPart p = completed(part, from, to);
  check_needed(map_sources(p.rows, p.from.height, p.to.height), p.from.y, from.dim[1]);
  check_needed(map_sources({p.to.x, p.to.x + to.dim[2]}, p.from.width, p.to.width), p.from.x, from.dim[2]);
  for_each_row(exec, int64_t(to.dim[0]) * (p.rows.end - p.rows.begin), to.dim[2],
               ResizeMap{from, factor_x, factor_y, to, p});
}

PixelRange map_sources(const PixelRange& range, int size, int resized) {
  return {Between(range.begin, size, resized).below, Between(range.end - 1, size, resized).above + 1};
}

}  // namespace basin::kernels

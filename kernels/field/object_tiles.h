#pragma once
#include <omp.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "kernels/runtime/parallel.h"
#include "kernels/runtime/scratch.h"

// For work on a label image that processes one object at a time, within a limited distance of its pixels: the image is
// cut into tiles, and in a tile each object is represented by the bounding rectangle of its pixels there. Each
// rectangle contains a pixel of its object and has a bounded size, so the work stays proportional to the number of
// pixels; for compact objects it is proportional to the area of their boxes.
namespace basin::kernels {

constexpr int tile_size = 48;

/// Loops over pixels run in whole vectors of this many; surplus results are ignored.
constexpr int lanes = 16;
constexpr int whole(int n) { return (n + lanes - 1) / lanes * lanes; }

/// An object in a tile: the inclusive bounding box of its pixels there, relative to the tile's corner.
struct TileObject {
  int32_t id;
  int left, top, right, bottom;
};

/// The part of an image that is one tile.
struct Tile {
  int x, y, width, height;

  /// The i-th tile in raster order.
  static Tile at(View<const int32_t, 2> labels, int64_t i) {
    const int across = (labels.dim[1] + tile_size - 1) / tile_size;
    const int x = int(i % across) * tile_size, y = int(i / across) * tile_size;
    const int width = labels.dim[1] - x, height = labels.dim[0] - y;
    return {x, y, width < tile_size ? width : tile_size, height < tile_size ? height : tile_size};
  }
  static int64_t count(View<const int32_t, 2> labels) {
    return int64_t((labels.dim[1] + tile_size - 1) / tile_size) * ((labels.dim[0] + tile_size - 1) / tile_size);
  }
};

/// Rows of labels around a tile: (y, x) relative to the tile's corner, within the requested margin.
struct TileLabels {
  const int32_t* corner;
  int64_t stride;
  const int32_t* at(int y, int x) const { return corner + y * stride + x; }
};

/// One row of a tile's field in TileSpace.
constexpr int field_span = tile_size + lanes;

/// Buffers for one tile with a margin of up to `most` pixels, and for the field [2] of the tile. Loops over its rows
/// may run `slack` elements too far.
template <int most>
struct TileSpace {
  static constexpr int slack = 32, span = tile_size + 2 * most + slack;
  int32_t labels[span * (span - slack) + slack];
  TileObject objects[tile_size * tile_size];
  uint16_t slots[2 * tile_size * tile_size];
  float field[2][tile_size * field_span];

  /// All work on a tile: write_object(labels, object) adds each of its objects to `field`, which is initially zero.
  template <class F>
  void fill(View<const int32_t, 2> image, const Tile& tile, int margin, View<float, 3> to, const F& write_object) {
    std::memset(field, 0, sizeof field);
    const int count = find_objects(image, tile);
    if (count > 0) {
      const TileLabels around = surroundings(image, tile, margin);
      for (int k = 0; k < count; ++k)
        write_object(around, objects[k]);
    }
    for (int channel = 0; channel < 2; ++channel)
      for (int y = 0; y < tile.height; ++y)
        std::memcpy(&to(channel, tile.y + y, tile.x), field[channel] + y * field_span,
                    sizeof(float) * size_t(tile.width));
  }

 private:
  /// Finds the objects of the tile in order of their first pixel; returns their number.
  int find_objects(View<const int32_t, 2> image, const Tile& tile) {
    int count = 0;
    std::memset(slots, 0, sizeof slots);
    for (int y = 0; y < tile.height; ++y) {
      const int32_t* row = &image(tile.y + y, tile.x);
      alignas(64) uint8_t starts[tile_size] = {};
      starts[0] = 1;
#pragma omp simd
      for (int x = 1; x < tile.width; ++x)
        starts[x] = row[x] != row[x - 1];
      int begin = 0;
      for (int word = 0; word < tile_size; word += 8) {
        uint64_t bits;
        std::memcpy(&bits, starts + word, sizeof bits);
        for (; bits; bits &= bits - 1) {
          const int x = word + std::countr_zero(bits) / 8;
          if (x > 0 && row[begin] != 0) count = extend(count, row[begin], y, begin, x - 1);
          begin = x;
        }
      }
      if (row[begin] != 0) count = extend(count, row[begin], y, begin, tile.width - 1);
    }
    return count;
  }

  /// The labels of the tile and its margin, 0 outside the image: copied only if the image ends within the margin.
  TileLabels surroundings(View<const int32_t, 2> image, const Tile& tile, int margin) {
    const int left = tile.x - margin, right = tile.x + tile.width + margin, top = tile.y - margin;
    if (left >= 0 && top >= 0 && right + slack <= image.dim[1] && tile.y + tile.height + margin <= image.dim[0])
      return {&image(tile.y, tile.x), image.dim[1]};
    const int begin = left > 0 ? left : 0, end = right < image.dim[1] ? right : image.dim[1];
    std::memset(labels, 0, sizeof(int32_t) * size_t(span) * size_t(tile.height + 2 * margin));
    for (int y = 0; y < tile.height + 2 * margin; ++y)
      if (top + y >= 0 && top + y < image.dim[0])
        std::memcpy(labels + y * span + (begin - left), &image(top + y, begin), sizeof(int32_t) * size_t(end - begin));
    return {labels + margin * span + margin, span};
  }

  int extend(int count, int32_t id, int y, int begin, int end) {
    constexpr uint32_t all = 2 * tile_size * tile_size;
    uint32_t at = uint32_t(id) * 2654435769u / (0xFFFFFFFFu / all + 1);
    while (slots[at] && objects[slots[at] - 1].id != id)
      at = (at + 1) % all;
    if (!slots[at]) {
      objects[count] = {id, begin, y, end, y};
      slots[at] = uint16_t(++count);
    }
    TileObject& object = objects[slots[at] - 1];
    object.left = begin < object.left ? begin : object.left;
    object.right = end > object.right ? end : object.right;
    object.bottom = y;
    return count;
  }
};

/// Calls Work(labels, arguments..., workspaces)(i) for each tile i, with one Work::Workspace per thread.
template <class Work, class... A>
void for_each_tile(const Exec& exec, View<const int32_t, 2> labels, const A&... arguments) {
  const int64_t tiles = Tile::count(labels);
  if (tiles == 0) return;
  Temp<typename Work::Workspace> workspaces(exec, tiles == 1 ? 1 : omp_get_max_threads());
  const Work work(labels, arguments..., workspaces.data());
#pragma omp parallel for schedule(dynamic, 4) if (tiles > 4)
  for (int64_t i = 0; i < tiles; ++i)
    detail::in_order(i, i + 1, work);
}

}  // namespace basin::kernels

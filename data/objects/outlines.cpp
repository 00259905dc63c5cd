#include "data/objects/outlines.h"

#include <algorithm>
#include <array>

#include "kernels/image/components.h"
#include "kernels/runtime/platform.h"

namespace basin {
namespace {

/// The label image cut into 4-connected pieces, numbered in raster order of their first pixels.
struct Pieces {
  int height, width;
  std::vector<int32_t> ids;

  int32_t at(int y, int x) const {
    return x < 0 || y < 0 || x >= width || y >= height ? 0 : ids[size_t(y) * size_t(width) + size_t(x)];
  }
};

constexpr std::array<Corner, 4> steps{{{1, 0}, {0, 1}, {-1, 0}, {0, -1}}};  // right, down, left, up

/// Follows a border from the upper edge of pixel (y, x) to the right, the piece on its right-hand side. At a corner
/// where two pixels of the piece meet diagonally it goes on to the other pixel: a hole that touches the outer border
/// there gets its own ring. `seen` marks the pixels whose upper edges were passed. `origin` is added to corners.
Ring follow(const Pieces& pieces, int y, int x, const Corner& origin, std::vector<uint8_t>& seen) {
  const int32_t piece = pieces.at(y, x);
  Ring ring;
  Corner at{x, y};
  size_t direction = 0;
  do {
    if (direction == 0) seen[size_t(at.y) * size_t(pieces.width) + size_t(at.x)] = 1;
    const Corner step = steps[direction];
    at = {at.x + step.x, at.y + step.y};
    // The two pixels ahead of the corner. A step right by (dx, dy) has its right-hand side in the direction (-dy, dx).
    const auto ahead = [&](int side) {
      const int px = 2 * at.x - 1 + step.x - side * step.y, py = 2 * at.y - 1 + step.y + side * step.x;
      return pieces.at(py >> 1, px >> 1) == piece;
    };
    const size_t turn = ahead(-1) ? 3 : ahead(1) ? 0 : 1;
    if (turn != 0) ring.push_back({at.x + origin.x, at.y + origin.y});
    direction = (direction + turn) % 4;
  } while (at != Corner{x, y} || direction != 0);
  std::rotate(ring.begin(), ring.end() - 1, ring.end());
  return ring;
}

}  // namespace

Outlines outlines_of(const Labels& labels, const Corner& origin) {
  const int height = labels.height, width = labels.width;
  BASIN_CHECK(labels.ids.size() == size_t(height) * size_t(width), "labels ", height, " x ", width);
  Outlines outlines(size_t(labels.count));
  Pieces pieces{height, width, std::vector<int32_t>(labels.ids.size())};
  const int64_t count = kernels::components_of_labels({}, {labels.ids.data(), {height, width}}, 4,
                                                      View<int32_t, 2>{pieces.ids.data(), {height, width}});
  std::vector<int32_t> place(size_t(count) + 1, -1);  // of each piece among those of its object
  std::vector<uint8_t> seen(labels.ids.size());
  for (int y = 0; y < height; ++y) {
    const size_t row = size_t(y) * size_t(width);
    for (int x = 0; x < width; ++x) {
      const size_t i = row + size_t(x);
      const int32_t piece = pieces.ids[i];
      if (piece == 0 || seen[i] || (y > 0 && pieces.ids[i - size_t(width)] == piece)) continue;
      std::vector<Polygon>& object = outlines[size_t(labels.ids[i]) - 1];
      int32_t& of_piece = place[size_t(piece)];
      if (of_piece < 0) {
        of_piece = int32_t(object.size());
        object.push_back({follow(pieces, y, x, origin, seen), {}});
      } else {
        object[size_t(of_piece)].holes.push_back(follow(pieces, y, x, origin, seen));
      }
    }
  }
  return outlines;
}

}  // namespace basin

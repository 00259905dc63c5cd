#pragma once
#include "kernels/runtime/platform.h"
#include "kernels/runtime/view.h"

namespace basin::kernels {

/// Pixels [begin, end) of an axis.
struct PixelRange {
  int begin = 0, end = 0;
};

/// The pixels [y, y + rows of the view) and [x, x + columns of the view) of an image of height x width pixels. A height
/// of 0: the view is the whole image.
struct ImageWindow {
  int y = 0, x = 0, height = 0, width = 0;
};

/// Which part of the image and of the resized image the two views contain, for resizing an image part by part: each
/// pixel has the same bits as when the whole image is resized at once. `from` must contain all pixels that those of
/// `to` depend on. Only `rows`, counted in the resized image, are computed, or all rows of `to` if `rows` is empty.
struct ResizedPart {
  ImageWindow from, to;
  PixelRange rows;
};

/// The part, checked, with its defaults replaced by actual numbers.
template <class T>
ResizedPart completed(const ResizedPart& part, View<const T, 3> from, View<T, 3> to) {
  BASIN_CHECK(from.dim[0] == to.dim[0] && from.size() > 0 && to.size() > 0, "images ", from, " and ", to);
  ResizedPart p = part;
  if (p.from.height == 0) p.from = {0, 0, from.dim[1], from.dim[2]};
  if (p.to.height == 0) p.to = {0, 0, to.dim[1], to.dim[2]};
  if (p.rows.end == 0) p.rows = {p.to.y, p.to.y + to.dim[1]};
  const auto inside = [](const ImageWindow& w, int rows, int columns) {
    return w.y >= 0 && w.x >= 0 && w.y + rows <= w.height && w.x + columns <= w.width;
  };
  BASIN_CHECK(inside(p.from, from.dim[1], from.dim[2]) && inside(p.to, to.dim[1], to.dim[2]) &&
                  p.rows.begin >= p.to.y && p.rows.end <= p.to.y + to.dim[1],
              "parts of ", p.from.height, " x ", p.from.width, " and ", p.to.height, " x ", p.to.width, " pixels");
  return p;
}

/// Throws unless the pixels `needed` along an axis are among the `count` from `begin` on.
inline void check_needed(const PixelRange& needed, int begin, int count) {
  BASIN_CHECK(needed.begin >= begin && needed.end <= begin + count, "pixels ", needed.begin, " to ", needed.end, " of ",
              begin, " to ", begin + count);
}

}  // namespace basin::kernels

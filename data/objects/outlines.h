#pragma once
#include <cstdint>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// A corner of pixels: pixel (x, y) covers the square from (x, y) to (x + 1, y + 1).
struct Corner {
  int32_t x = 0, y = 0;
  bool operator==(const Corner&) const = default;
};

/// A closed line along the edges of pixels, by the corners at which it turns. The first corner is not repeated.
using Ring = std::vector<Corner>;

/// One 4-connected piece of an object: its outer border and the borders of its holes. With x to the right and y down,
/// outer borders run clockwise on the screen and holes anticlockwise, so that (x1 y2 - x2 y1) / 2 summed over a ring
/// and its holes is the number of pixels. Every ring is simple, and rings of a piece meet in single corners at most:
/// the piece is a valid polygon.
struct Polygon {
  Ring outer;
  std::vector<Ring> holes;
};

/// The pieces of objects 1, 2, ..., each in raster order of its first pixel. Pieces of one object that meet only in a
/// corner are separate polygons.
using Outlines = std::vector<std::vector<Polygon>>;

/// The outlines of all objects. Each ring begins at the upper left corner of its first pixel in raster order. The same
/// for any number of threads. `origin`: the upper left corner of the labels in an image of which they are a part;
/// objects that lie in it as a whole have the outlines that they have in the whole image.
Outlines outlines_of(const Labels&, const Corner& origin = {});

/// Where in a stack an object lies that was found in one plane.
struct ObjectPlace {
  int32_t label = 0;             // its number in the label image of the plane
  int64_t plane = 0;             // index among all planes
  int64_t frame = 0, slice = 0;  // indices along T and Z

  bool operator==(const ObjectPlace&) const = default;
};

/// The objects of a stack, plane after plane, with their places.
struct ObjectPlaces {
  std::vector<ObjectPlace> objects;
  int64_t frames = 1, slices = 1;
  bool has_channels = false;  // the stack has several channels

  bool is_stack() const { return frames * slices > 1; }
};

}  // namespace basin

#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/files/image.h"
#include "data/files/labels.h"

namespace basin {

/// The shape of one object, in pixels. The definitions are those of scikit-image's regionprops.
struct ObjectShape {
  int64_t area = 0;                       // number of pixels
  double centroid_y = 0, centroid_x = 0;  // mean of the pixels' centres; that of the first pixel is (0, 0)
  int y0 = 0, x0 = 0, y1 = 0, x1 = 0;     // bounding box: rows y0 to y1 - 1, columns x0 to x1 - 1
  double perimeter = 0;  // estimate from the border pixels, with weights by their neighbours (see below)
  double major_axis = 0, minor_axis = 0;  // 4 times the square roots of the eigenvalues of the covariance of its pixels
  double orientation = 0;                 // of the major axis, anticlockwise from the y axis, -pi/2 to pi/2
  double eccentricity = 0;                // sqrt(1 - smaller / larger eigenvalue): 0 for a disk
  double solidity = 0;                    // area / number of pixels in the convex hull
  bool touches_edge = false;              // has a pixel in the outermost rows or columns of the image
};

/// Pixel values within one object.
struct ObjectValues {
  double mean = 0, std = 0, min = 0, max = 0;  // std: that of the object's pixels, divided by their number
};

/// Measurements of objects 1, 2, ...
struct Measurements {
  std::vector<ObjectShape> shapes;
  int channels = 0;                                // of the image; 0 without one
  std::vector<ObjectValues> values;                // [objects][channels]
  std::optional<std::vector<double>> foreground;   // mean foreground probability; none if it is unknown
  std::optional<std::vector<double>> border_flow;  // large where the field confirms the border; none without a field
};

/// What is known of each pixel of labelled objects. All have the size of the labels.
struct PixelValues {
  const Image* image = nullptr;            // null: unknown
  std::span<const float> foreground = {};  // probability, row by row; empty: unknown
  std::span<const float> field = {};       // [2, height, width], x and y, large and inward at borders; empty: unknown
};

/// The position of labels of a part of an image of height x width pixels: their first pixel is (y, x). A height of 0:
/// they are those of the whole image.
struct ImagePart {
  int y = 0, x = 0, height = 0, width = 0;
};

/// Measures all objects. One pass over the labels collects the rows of pixels of each object, and one thread then
/// measures the object, so that results do not depend on the number of threads. Objects that are completely inside a
/// part of an image have the same bits there as in the whole image.
///
/// Perimeter (Benkrid and Crookes 2000, as in regionprops): border pixels are those with one of 4 neighbours outside
/// the object; each counts 1, sqrt 2 or (1 + sqrt 2) / 2, according to how many of its neighbours are border pixels.
/// Convex hull: of the middles of the pixels' sides; pixels count whose centres lie in it or on its border.
/// Border flow: the mean component of the field along the inward normal, over the object's pixels that have a pixel of
/// another object or of the background at a distance of at most 2. The normal points from the mean of these pixels
/// inwards; neighbours outside the image are not counted, nor are pixels whose neighbours lie around them evenly. 0 if
/// no pixel counts.
Measurements measure(const Labels&, const PixelValues& = {}, const ImagePart& = {});

/// A score of each object, by which `evaluate` ranks objects: the border flow, or without a field the mean foreground
/// probability. Empty if neither is known.
std::vector<float> scores_of(const Measurements&);

/// One row of numbers for each object, with the names of the columns.
struct ObjectTable {
  std::vector<std::string> names;
  std::vector<double> numbers;  // [objects][columns]

  std::span<const double> row(size_t object) const { return {numbers.data() + object * names.size(), names.size()}; }
};

/// The measurements as a table, in pixels, and if `pixel_size` (um, 0: unknown) is known also in micrometres. `scores`
/// of the objects: none if the method gives none. `first`: the label of the first object. The columns depend on what is
/// known, and not on whether there are objects.
ObjectTable table_of(const Measurements&, const std::optional<std::vector<float>>& scores, double pixel_size,
                     int64_t first = 1);

}  // namespace basin

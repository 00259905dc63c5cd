#pragma once
#include <vector>

#include "data/dataset/augment.h"
#include "data/dataset/dataset.h"

namespace basin {

/// An affine map of the plane: (x, y) goes to (xx x + xy y + x0, yx x + yy y + y0).
struct PlaneMap {
  double xx = 1, xy = 0, x0 = 0, yx = 0, yy = 1, y0 = 0;

  double x(double px, double py) const { return xx * px + xy * py + x0; }
  double y(double px, double py) const { return yx * px + yy * py + y0; }
  /// First `inner`, then this map.
  PlaneMap after(const PlaneMap& inner) const;
  /// Of a map that has one.
  PlaneMap inverse() const;
};

/// Where the pixels of a square sample of side `size` come from. Positions count in pixels, whole numbers at their
/// centres.
struct Placement {
  enum class Kind {
    window,  // pixel (y, x) is pixel (y0 + y, x0 + x) of the image
    resize,  // the whole image: bilinear as kernels::resize_map does it, labels from nearest_source()
    warp     // pixel p is at map(p + displacement(p)): bilinear, labels from the nearest pixel
  };
  Kind kind = Kind::window;
  int size = 0;
  int y0 = 0, x0 = 0;
  bool mirror = false;  // what lies beyond the image is its mirror image, the edge not repeated; otherwise 0
  PlaneMap map;
  SmoothWarp displacement = {};
};

/// The placement with the image warped about the middle of the sample on top.
Placement warped(const Placement&, const Warp&, int height, int width);

/// How many pixels around the sample labels have to reach for the whole image to lie among them.
int margin_of_whole_image(const Placement&, int height, int width);

/// Memory that serves again from sample to sample.
struct CutMemory {
  std::vector<float> values, x, y;
  std::vector<int32_t> ids;
};

/// The labels [size + 2 margin, size + 2 margin] of a sample.
void cut_labels(const Example&, const Placement&, int margin, CutMemory&, int32_t* ids);
/// The normalised values [size, size] of one channel of a sample. Beyond an image that is not mirrored, those of a warp
/// are its edge, which ValueChanger replaces with zeros.
void cut_channel(const Source&, int channel, const Placement&, CutMemory&, float* values);

/// Leaves out objects with fewer pixels than this, and renumbers the others to 1..n in the order of their ids. Returns
/// n.
int tidy_labels(int min_pixels, int64_t n, int32_t* ids);

/// The pixels of a sample that show the image, and not what is beyond it.
struct Inside {
  int y_begin, y_end, x_begin, x_end;  // no pixel outside this rectangle does
  std::vector<uint8_t> within;         // [size, size]: which pixels of it do; empty: all
};
Inside inside(const Placement&, int height, int width, CutMemory&);

}  // namespace basin

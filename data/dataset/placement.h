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
  /// The composition: first `inner`, then this map.
  PlaneMap after(const PlaneMap& inner) const;
  /// The inverse of an invertible map.
  PlaneMap inverse() const;
};

/// The source of the pixels of a square sample of side `size`. Positions are in pixels, with integers at pixel centres.
struct Placement {
  enum class Kind {
    window,  // pixel (y, x) is pixel (y0 + y, x0 + x) of the image
    warp     // pixel p is at map(p + displacement(p)): bilinear, labels from the nearest pixel
  };
  Kind kind = Kind::window;
  int size = 0;
  int y0 = 0, x0 = 0;
  bool mirror = false;  // the image is continued by its mirror image, without repeating the edge; otherwise by 0
  PlaneMap map;
  SmoothWarp displacement = {};
};

/// The placement followed by a warp of the image about the middle of the sample.
Placement warped(const Placement&, const Warp&);

/// The margin that labels around the sample need to contain the whole image.
int margin_of_whole_image(const Placement&, int height, int width);

/// Buffers that are reused from sample to sample.
struct CutMemory {
  std::vector<float> values, x, y;
  std::vector<int32_t> ids;
};

/// Cuts one layer of the labels of a sample, [size + 2 margin, size + 2 margin]. Pixels outside the image get `beyond`.
/// Layers that the example does not have are background.
void cut_labels(const Example&, const Placement&, int margin, CutMemory&, int32_t* ids, int32_t beyond = 0,
                int layer = 0);
/// Cuts the normalised values [size, size] of one channel of a sample. Outside an image without mirroring, a warp
/// repeats its edge; ValueChanger then replaces that with zeros.
void cut_channel(const Source&, int channel, const Placement&, CutMemory&, float* values);

/// Whether a sample contains pixels outside the image, or may do so.
bool reaches_beyond(const Placement&, int height, int width);

/// Gives each 8-connected piece of an object in labels [layers, size, size] its own number: an image that is padded by
/// mirroring contains objects several times, and each copy has its own centre. Negative ids do not change.
void separate_pieces(int layers, int size, CutMemory&, int32_t* ids);

/// Renumbers the objects in labels of n pixels to 1, 2, ... in the order of their ids. Negative ids stay.
void close_gaps(int64_t n, int32_t* ids);

/// The pixels of a sample that lie inside the image.
struct Inside {
  int y_begin, y_end, x_begin, x_end;  // bounding rectangle of these pixels
  std::vector<uint8_t> within;         // [size, size]: whether each pixel does; empty: all of the rectangle
};
Inside inside(const Placement&, int height, int width, CutMemory&);

}  // namespace basin

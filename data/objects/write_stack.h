#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/files/encoders.h"
#include "data/files/image.h"
#include "data/files/labels.h"
#include "data/files/planes.h"
#include "data/files/stack_planes.h"
#include "engine/plane_file.h"

namespace basin {

/// The resolution for a TIFF whose unit of length is the micrometre.
raster::Resolution pixels_per_um(const Stack&);

/// The description of a TIFF of grey or RGB planes in the form of ImageJ, which tifffile and Bio-Formats read too:
/// axes T and Z as far as they are longer than 1, the interval along T, the unit micrometre and the spacing along Z if
/// the pixel size is known, and the highest value, so that labels are not displayed as black. Its first line is
/// ImageJ=....
std::string imagej_description(const StackPlanes&, double highest);

/// The description of an OME-TIFF (OME-XML of the schema 2016-06) with one channel, 16-bit or if `wide` 32-bit: axes T
/// and Z, and the pixel size, the spacing along Z and the interval along T as far as they are known.
std::string ome_description(const StackPlanes&, int height, int width, bool wide);

/// How a TIFF describes its axes and its pixel size.
enum class TiffForm { imagej, ome };

/// Writes 8-bit grey or RGB pictures of the planes of a stack as one TIFF. Appears under its name with commit().
class PictureStack {
 public:
  PictureStack(const std::filesystem::path&, const StackPlanes&);
  ~PictureStack();
  /// All pictures have one size.
  void add(const Image&);
  void commit();

 private:
  struct Writer;
  std::unique_ptr<Writer> writer_;
};

/// Writes a TIFF with one 8-bit image per object, 255 in its mask and 0 elsewhere, and the pixel size of the image; a
/// single empty image if there are no objects. BigTIFF where 4 GB could be too little. Written under a temporary name
/// and renamed. read_stack() reads it.
void write_instances(const std::filesystem::path&, const Planes&, const Stack& of_image);

/// A label image that may be larger than memory. read(step, part, to) gives the numbers of every step-th pixel of every
/// step-th row: of a part of that lower resolution, in its pixels.
struct LabelParts {
  int height = 0, width = 0;
  int32_t highest = 0;
  std::function<void(int step, const PixelRect& part, uint32_t* to)> read;
};

/// Writes it as LabelStack::write_zarr does, a chunk at a time.
void write_zarr_labels(const std::filesystem::path&, const StackPlanes&, const LabelParts&);

/// The label images of the planes of a stack, kept as runs of equal numbers until they are written.
class LabelStack {
 public:
  explicit LabelStack(const StackPlanes& planes) : planes_(planes) {}

  /// Adds the next plane; object k gets numbers[k - 1]. Throws if its size differs from that of the first one.
  void add(const Labels&, const std::vector<int32_t>& numbers);
  int32_t highest() const { return highest_; }
  /// Writes all planes as one TIFF, 16-bit or, if a number is above 65,535, 32-bit; BigTIFF where 4 GB could be too
  /// little. Written under a temporary name and renamed.
  void write(const std::filesystem::path&, TiffForm = TiffForm::imagej) const;
  /// Writes all planes as a label image of OME-Zarr 0.4, 16-bit or 32-bit like write(), with axes T and Z as far as
  /// they are longer than 1, the pixel size, and lower resolutions of every second pixel down to sides of 1024 pixels.
  /// Written under a temporary name and renamed.
  void write_zarr(const std::filesystem::path&) const;

 private:
  static constexpr int32_t max_in_16_bits = 65535;

  struct Run {
    int32_t number, pixels;  // pixels: of one row at most
  };
  StackPlanes planes_;
  int height_ = 0, width_ = 0;
  int32_t highest_ = 0;
  std::vector<std::vector<Run>> runs_;  // of each plane, row by row
};

}  // namespace basin

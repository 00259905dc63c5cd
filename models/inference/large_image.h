#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/json_fwd.h"
#include "models/inference/appearance.h"
#include "models/inference/segmenter.h"

namespace basin {

/// An image that is read in parts, because it may be larger than memory, normalised like a whole one: parts of it equal
/// those of a Source with the whole image.
class LargeImage {
 public:
  using Read = std::function<Image(const PixelRect&)>;

  /// Reads the whole image once or twice, at most `max_bytes` of its pixels at a time, to find its normalisation.
  /// `channels`: those of the model. `read` throws, with the image's name, for values that cannot be used.
  LargeImage(Read read, int height, int width, int channels, const Normalisation&, const std::string& name,
             int64_t max_bytes);

  int height() const { return height_; }
  int width() const { return width_; }
  int channels() const { return channels_; }
  /// The part of an image that the network sees.
  Source part(const PixelRect&) const;
  Image raw_part(const PixelRect& rect) const { return read_(rect); }
  int64_t row_bytes() const { return row_bytes_; }
  /// Rows of the whole width that take at most so many bytes; at least one.
  int rows_within(int64_t bytes) const;
  const Brightness& brightness() const { return brightness_; }
  /// What reading and normalising it changed or left out.
  const std::vector<std::string>& notes() const { return notes_; }
  /// Identifies its pixels.
  const std::string& fingerprint() const { return fingerprint_; }
  /// Pixel size and channels of the file.
  const Stack& stack() const { return stack_; }

 private:
  Read read_;
  int height_, width_, channels_;
  Normalisation norm_;
  int64_t row_bytes_ = 1;
  std::vector<Affine> affine_;
  Brightness brightness_;
  std::vector<std::string> notes_;
  std::string fingerprint_;
  Stack stack_;
};

class SeenImage;

/// The maps of a large image in files of a scratch folder, computed tile by tile: those that the network gives for the
/// whole image. Tiles that are done are recorded, so that an interrupted run can be continued: a tile is recorded
/// after its maps are on the disk, and whatever is not recorded is computed again.
class MapFolder {
 public:
  /// `height`, `width`: of the image as the network sees it. `resume`: keeps the tiles that are recorded in the folder.
  /// `tiles`: exact ones.
  MapFolder(const std::filesystem::path&, const Method&, int height, int width, std::vector<ExactTile> tiles,
            bool resume);

  /// Computes the tiles that are missing. `progress` is called with the number of tiles that are done after each.
  void predict(const Exec&, const Predictor&, SeenImage&, const std::function<void(int64_t)>& progress);

  int64_t tiles() const { return int64_t(tiles_.size()); }
  int64_t done() const { return done_; }
  /// A part of the maps of an image of height x width pixels, in host memory: resized like a part of what
  /// at_image_size() gives, to the bit, if the network saw the image at another size.
  Maps part(const PixelRect&, int height, int width) const;
  /// The same of one of the maps.
  Tensor part(const std::string& name, const PixelRect&, int height, int width) const;
  /// The same of the map that `as` names, resized as one of that kind.
  Tensor part(const MapSpec& as, const PixelRect&, int height, int width) const;
  /// A bound on the magnitude of the values of the vector field, resized in the same way; NaN if one is NaN.
  float largest(int height, int width) const;

  /// Bytes that the files need for each pixel of an image.
  static int64_t bytes_per_pixel(const Method&);

 private:
  struct Record {
    int32_t tile;
    float largest;
  };
  void write(int64_t tile, const Exec&, const Maps&, int top, int left);
  size_t index_of(const std::string& name) const;

  std::filesystem::path records_;
  int height_, width_;
  std::vector<MapSpec> specs_;
  std::string field_;
  std::vector<std::unique_ptr<PlaneFile>> files_;  // of each map
  std::vector<ExactTile> tiles_;
  std::vector<bool> is_done_;
  int64_t done_ = 0;
  float largest_ = 0;
};

/// A part of what foreground_probability() gives for the whole image of height x width pixels.
std::vector<float> foreground_probability(const Method&, const MapFolder&, const PixelRect&, int height, int width);
/// A part [2, height, width] of what field_of() gives for it. `scale`: at which the network saw it.
std::vector<float> field_of(const Method&, const MapFolder&, double scale, const PixelRect&, int height, int width);

}  // namespace basin

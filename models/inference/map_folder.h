#pragma once
#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/plane_file.h"
#include "engine/record_file.h"
#include "models/inference/segmenter.h"
#include "models/inference/views.h"

namespace basin {

class Ranks;
class SeenImage;

/// The maps of a large image, in files of a scratch folder: those that the network gives for the whole image, or their
/// mean over its views. They are computed tile by tile. A tile is recorded as soon as its maps are on the disk, so that
/// an interrupted run can be continued: it computes the tiles that are not recorded.
class MapFolder {
 public:
  /// `height`, `width`: of the image as the network sees it. `tiles`: those of view_tiles(). `resume`: keeps what is
  /// recorded in the folder. `ranks` share the tiles and the folder; all of them construct it and call predict().
  MapFolder(const std::filesystem::path&, const Method&, int height, int width, std::vector<ViewTile> tiles,
            bool resume, Ranks* ranks = nullptr);

  /// Computes the tiles that are missing. `progress` is called after each tile of this rank with the number of tiles
  /// that are done, or have been begun by other ranks.
  void predict(const Exec&, const Predictor&, SeenImage&, const std::function<void(int64_t)>& progress);

  int64_t tiles() const { return int64_t(tiles_.size()); }
  int64_t done() const { return std::count(done_.begin(), done_.end(), true); }
  /// A part of the maps of an image of height x width pixels, in host memory. If the network saw the image at another
  /// size, the part is resized and has the bits of the same part of at_image_size().
  Maps part(const PixelRect&, int height, int width) const;
  /// The same for one of the maps.
  Tensor part(const std::string& name, const PixelRect&, int height, int width) const;
  /// The same for the map with the name of `as`, resized as its kind requires.
  Tensor part(const MapSpec& as, const PixelRect&, int height, int width) const;
  /// A bound on the magnitude of the values of the vector field, resized in the same way; NaN if one is NaN.
  float largest(int height, int width) const;

  /// Bytes that the files need for each pixel of an image.
  static int64_t bytes_per_pixel(const Method&, bool all_views);

 private:
  using Files = std::vector<std::unique_ptr<PlaneFile>>;  // of each map

  /// Opens the files, and returns whether all had content that was kept.
  bool open(const std::filesystem::path& folder, bool keep);
  /// Waits until everything written is on the disk.
  void flush();
  Tensor input_of(const Exec&, const ViewTile&, SeenImage&) const;
  /// Writes the maps of a tile, and records it.
  void add(const Exec&, int64_t tile, const Maps&);
  /// The pixels of a map that come from a tile; if there are several views, added to the mean of the earlier ones.
  Tensor own_part(const Exec&, const ViewTile&, size_t map, const Tensor& of_tile) const;
  size_t index_of(const std::string& name) const;
  const Files& complete_files() const { return files_[tiles_.back().view.index % 2]; }

  int height_, width_;
  std::vector<MapSpec> specs_;
  std::string field_;
  std::vector<ViewTile> tiles_;
  /// Each view is added to the values of one set of files and written to the other, so that a tile can be repeated.
  std::array<Files, 2> files_;
  Ranks* ranks_;
  SharedRecords records_;
  std::vector<bool> done_;  // of each tile
  float largest_ = 0;
};

/// A part of what foreground_probability() gives for the whole image of height x width pixels.
std::vector<float> foreground_probability(const Method&, const MapFolder&, const PixelRect&, int height, int width);
/// A part [2, height, width] of what field_of() gives for it. `scale`: at which the network saw it.
std::vector<float> field_of(const Method&, const MapFolder&, double scale, const PixelRect&, int height, int width);

}  // namespace basin

#pragma once
// The results of an image that is segmented in blocks.
#include <filesystem>
#include <memory>
#include <vector>

#include "models/inference/large_image.h"
#include "models/inference/map_folder.h"
#include "tools/segmentation/large_plan.h"

namespace basin::tools {

/// What was found in an image.
struct LargeFound {
  const std::filesystem::path& path;     // of the image
  const std::filesystem::path& scratch;  // folder for scratch files
  const LargeSizes& sizes;
  const LargeBlocks& blocks;
  const LargeImage& image;
  const MapFolder& maps;
  std::unique_ptr<PlaneFile> labels;  // at the size of the image; stays as it is
  std::vector<ObjectExtent> objects;  // 1, 2, ...
};

/// How many objects the filter kept.
struct LargeKept {
  int objects = 0;
  Dropped dropped;
};

/// Applies the filter of the plan, and writes the files. Exceptions do not name the image. `notes`: says which older
/// files are removed.
LargeKept write_large_outputs(const Work&, LargeFound, ImageFiles&, NoteList& notes);

}  // namespace basin::tools

#pragma once
// The files of an image that is segmented in blocks because it may be larger than memory.
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "models/inference/large_image.h"
#include "tools/results/large_labels.h"
#include "tools/results/large_maps.h"
#include "tools/results/result_files.h"

namespace basin::tools {

/// What is known of a large image when its objects are found.
struct LargeResults {
  std::filesystem::path path;  // of the image
  const LargeImage& image;
  const LargeLabels& labels;
  std::vector<ObjectExtent> objects;     // 1, 2, ...
  LargeMaps maps;                        // what is known of them
  int64_t band_bytes = 0;                // of rows of the image that are held at a time
  int64_t memory = 0;                    // bytes for measuring objects
  std::function<void(double)> progress;  // called with the share of the objects that is measured, 0 to 1
};

/// Writes the files of `save` part by part, and keeps them. `notes`: says which older files are removed.
void write_large_results(const std::set<std::string>& save, const LargeResults&, ImageFiles&, NoteList& notes);

}  // namespace basin::tools

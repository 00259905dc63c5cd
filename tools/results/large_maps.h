#pragma once
// Writes the maps that the network computed for a large image.
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "engine/plane_file.h"
#include "engine/tensor.h"
#include "tools/results/result_files.h"

namespace basin::tools {

/// A map of the network, which may be larger than memory.
struct LargeMap {
  std::string name;
  int channels = 1, height = 0, width = 0;
  std::function<Tensor(const PixelRect&)> part;  // [channels, height, width] of a part, in host memory
};

/// What is known of the maps of a large image of height x width pixels.
struct LargeMaps {
  int height = 0, width = 0;
  int rows_at_once = 1;                                            // of any of these, for little memory
  std::function<std::vector<float>(const PixelRect&)> foreground;  // probability in a part; none: unknown
  std::function<std::vector<float>(const PixelRect&)> field;       // [2, height, width] of a part; none: unknown
  std::vector<LargeMap> maps;                                      // by their names
};

/// Writes those of probability, flow and the maps that `save` names, row by row. The files have the same bytes as if
/// the image were segmented in one piece.
void write_large_maps(const std::set<std::string>& save, const LargeMaps&, ImageFiles&);

}  // namespace basin::tools

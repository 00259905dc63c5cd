#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/files/labels.h"

namespace basin {

/// Labels that are read row by row, and the areas of objects 1, 2, ...
struct LabelRows {
  int height = 0, width = 0;
  std::vector<int64_t> areas;
  std::function<void(int y, int32_t* to)> read;
};

/// Writes labels as Cellpose's GUI and training read them, a .npy file with a pickled dictionary, which
/// numpy.load(path, allow_pickle=True).item() returns: "masks" and "outlines" (the labels on border pixels, 0
/// elsewhere), uint16 [H, W] or uint32 above 65,535 objects, "ismanual" (bool [objects], all False), "filename",
/// "diameter" and "est_diam" (median over the objects of the diameter of the disk with the same area; 0 without
/// objects), "chan_choose" ([0, 0]) and "flows" (empty). `image`: the file that the labels belong to. Written under a
/// temporary name and renamed.
void write_seg_npy(const std::filesystem::path&, const LabelRows&, const std::filesystem::path& image);
void write_seg_npy(const std::filesystem::path&, const Labels&, const std::filesystem::path& image);

}  // namespace basin

#pragma once
#include <filesystem>

#include "data/files/labels.h"

namespace basin {

/// Writes labels as Cellpose's GUI and training read them, a .npy file with a pickled dictionary, which
/// numpy.load(path, allow_pickle=True).item() returns: "masks" and "outlines" (the labels on border pixels, 0
/// elsewhere), uint16 [H, W] or uint32 above 65,535 objects, "ismanual" (bool [objects], all False), "filename",
/// "diameter" and "est_diam" (median over the objects of the diameter of the disk with the same area; 0 without
/// objects), "chan_choose" ([0, 0]) and "flows" (empty). `image`: the file that the labels belong to. Written under a
/// temporary name and renamed.
void write_seg_npy(const std::filesystem::path&, const Labels&, const std::filesystem::path& image);

}  // namespace basin

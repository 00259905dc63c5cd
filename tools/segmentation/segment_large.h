#pragma once
// What `segment` does with an image that is too large to be segmented in one piece.
#include <filesystem>
#include <optional>
#include <string>

#include "tools/segmentation/large_plan.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// Segments it in blocks, writes its files and returns what was found, in words. The results are those of the image in
/// one piece. What the network computed is kept in a folder beside the results until they are complete, and with
/// Work::resume taken from there. Returns nothing if memory or disk are too small for that and the user has set no
/// limit: the image must then be segmented in one piece.
std::optional<std::string> segment_large(const Work&, const std::filesystem::path&, const LargePlan&, ImageFiles&,
                                         Outcome&);

}  // namespace basin::tools

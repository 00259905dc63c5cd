#pragma once
// What `segment` does with one image.
#include <filesystem>
#include <optional>
#include <string>

#include "tools/segmentation/large_plan.h"
#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// Segments an image, or each plane of a stack, writes its files and returns what was found, in words. `for_all_ranks`:
/// if all ranks should segment the image together, the plan for that is put there instead, and nothing else is done;
/// null: this process segments every image alone.
std::string segment_image(const Work&, const std::filesystem::path&, ImageFiles&, Outcome&,
                          std::optional<LargePlan>* for_all_ranks = nullptr);

}  // namespace basin::tools

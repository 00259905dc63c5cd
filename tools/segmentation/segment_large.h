#pragma once
// What `segment` does with an image that is too large to be segmented in one piece.
#include <filesystem>
#include <optional>
#include <string>

#include "tools/segmentation/large_plan.h"
#include "tools/segmentation/segment_work.h"

namespace basin {
class Ranks;
}

namespace basin::tools {

/// Segments it in blocks, writes its files and returns what was found, in words. The results are the same as in one
/// piece. Intermediate results are kept in a folder beside the results until these are complete; with Work::resume, the
/// run continues from there. Returns nothing if there is too little memory or disk for blocks and the user has set no
/// limit: the image must then be segmented in one piece.
///
/// `ranks`: those that do this together, all with the same plan; rank 0 writes the files and messages, and notes what
/// happened. The results are those of one process. Null: this process alone.
std::optional<std::string> segment_large(const Work&, const std::filesystem::path&, const LargePlan&, Ranks* ranks,
                                         ImageFiles&, Outcome&);

}  // namespace basin::tools

#pragma once
// What `segment` does with an image that is too large to be segmented in one piece.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "tools/segmentation/segment_work.h"

namespace basin::tools {

/// Bytes as a user writes them: "2G", "500M", "1.5 GB"; units of 1000. Throws one sentence that begins with `option`,
/// also for less than a megabyte, which is a number without its unit.
int64_t parse_bytes(const std::string& option, const std::string& text);

/// An image that is segmented in blocks, and the memory for it.
struct LargePlan {
  int height = 0, width = 0;
  int64_t in_one_piece = 0;     // bytes that segmenting it in one piece would need
  int64_t limit = 0;            // bytes that may be used
  std::optional<double> scale;  // at which the network sees it, if a search for it is over
};

/// Decides whether an image needs more memory in one piece than it may use, which is Work::max_memory or half of what
/// is free. None if it does not, if its format can only be read as a whole, or, where the user has set no limit, if
/// something of the run needs the whole image. Throws one sentence that names the reason if the user has set one.
/// `found_scale`: that of a search that is over.
std::optional<LargePlan> plan_large(const Work&, const std::filesystem::path&, const StackPlanes&,
                                    std::optional<double> found_scale = {});

/// Throws one sentence that says what can be done if an image that was read, or each plane of a stack, needs more
/// memory in one piece than Work::max_memory, or, where the user has set no limit, than the `available` bytes, those of
/// the image among them. Warns on stderr if it needs more than half of these.
void check_memory(const Work&, const std::string& name, const StackPlanes&, const Image&, double scale,
                  int64_t available);

/// Segments it in blocks, writes its files and returns what was found, in words. The results are those of the image in
/// one piece. What the network computed is kept in a folder beside the results until they are complete, and with
/// Work::resume taken from there. Returns nothing if memory or disk are too small for that and the user has set no
/// limit: the image must then be segmented in one piece.
std::optional<std::string> segment_large(const Work&, const std::filesystem::path&, const LargePlan&, ImageFiles&,
                                         Outcome&);

}  // namespace basin::tools

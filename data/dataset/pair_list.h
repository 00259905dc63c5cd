#pragma once
#include "data/dataset/dataset.h"

namespace basin {

/// The pairs of a CSV list, sorted by stem: lines image,mask under an optional heading, with paths relative to the
/// list. Throws one sentence that names the line if a file does not exist or two images have the same stem.
std::vector<Pair> pair_list(const std::filesystem::path& list);

}  // namespace basin

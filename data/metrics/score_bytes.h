#pragma once
#include <string>
#include <string_view>

#include "data/metrics/metrics.h"

namespace basin {

/// Appends a score as bytes, for another process of this program.
void put_score(std::string& bytes, const ImageScore&);
/// Removes a score from the front of the bytes and returns it.
ImageScore take_score(std::string_view& bytes);

}  // namespace basin
